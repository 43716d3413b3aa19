(** The exchange ring of [src/strategy/wait_free.rs], step by step.

    [tstep] says what one participant does with one access to shared memory:
    which word, what it reads and writes, where it goes on. The same function is
    extracted twice: to replay recorded runs of the Rust code, and to explore
    all runs of a few participants with a few calls (proofs/wait_free/explore).

    Covered: single elements and runs, the short path, the slow path with any
    patience, announcing, claiming, helping, withdrawing, closing.

    Idealised:
    - one step after the other (no memory orderings; fences are steps without
      an effect);
    - a payload is read and written together with the access before it. The
      copy of a part of a run, which may be overwritten while it is made and is
      discarded then, is in Rust spread over several instructions;
    - phases, positions and sequences are numbers that never wrap; a claim has
      its sequence modulo 4, as in Rust;
    - no pacing: rings of up to 31 elements have none but pauses.

    Not modelled: recovery of the dead and what is written down for it (rings in
    shared memory; tests/cost/killed.rs), places that are taken and left,
    conditional pops, lending by address, hostile words, counters of a ring's
    statistics, the limits of loops that only hostile words or hundreds of
    changes reach. *)

From Coq Require Import List Arith Bool.
Import ListNotations.

(** The steps, as named in Rust, in the order of its table; below, those that
    are not modelled. *)
Inductive step :=
| SLOT_LOOK | TURN_LOOK | DECIDE | TAKE_PART
| HINT_PEEK | HINT_MOVE | HINT_READ
| ROOM_HINT | ROOM_LOOK | ROOM_PEEK | ROOM_MOVE
| PENDING_ANNOUNCED | PENDING_STATE | CLAIM
| RESOLVE_STATE | RESOLVE_SLOT | CONFIRM | CONFIRM_SEEN | RESOLVE_CELL | COMPLETE
| BLOCK_FENCE | BLOCK_LOOK
| ANNOUNCE_CELL | ANNOUNCE_STATE | ANNOUNCE | ANNOUNCE_FENCE | OWN_STATE | WITHDRAW | RETIRE
| CLOSING_LOOK | SEAL_ASK | SEAL_LOOK | SEAL_MARK | SEAL_NOTE
| LOOK_SLOT | LOOK_HINT.

(* Not in the model:
   GATHER_LOOK GATHER_HINT AHEAD_LOOK, pacing and prefetching of larger rings;
   JOIN_LOOK JOIN SIT_DOWN PLACE_READ PLACE_WRITE LEAVE, places;
   NOTE_WRITE NOTE_BEGIN NOTE_END TAG_WRITE TAG_READ RECOVER_LOOK RECOVER_PLACE RECOVER_ANNOUNCED
   RECOVER_STATE RECOVER_WITHDRAW RECOVER_SLOT RECOVER_TAG RECOVER_WRITE, recovery of the dead;
   LOOK_CLOSED, an observer. *)

(** A slot's word. [who] is participant + 1 of a claim, 0 in a plain word; [seq]
    is the claim's sequence modulo 4; [len] is the length of the run less 1. *)
Record word := W {
  phase : nat; sealed : bool; seq : nat; who : nat; popped : nat; len : nat; cell : nat
}.

Inductive status := BLOCKED | PENDING | WHOLE | PART.

(** What stands in an entry's state word. *)
Record estate := E { eseq : nat; run : nat; stat : status; got : nat }.

(** An entry: its state, the cell that is given. *)
Record entry := Entry { state : estate; gives : nat }.

(** What a cell holds: a single element, or a run. *)
Record payload := P { one : nat; many : list nat }.

Inductive side := PUSH | POP.
Definition num (s : side) : nat := match s with PUSH => 0 | POP => 1 end.

(** What a participant took last: a single element, the run from an index on,
    what it had copied aside. *)
Inductive taken := SINGLE | FROM (i : nat) | ASIDE.

Inductive op :=
| Push (v : nat)             (* claimed and committed *)
| PushRun (vs : list nat)    (* copied: [push_copies] *)
| Pop                        (* [try_take] *)
| PopRun (n : nat)           (* [pop_copies] *)
| Close.

Inductive result :=
| Pushed (n : nat) | Full
| Popped (vs : list nat) | Empty
| Closed                     (* of a push, or of a pop *)
| Sealed.                    (* of [Close] *)

(** The geometry: elements, slots, participants of a side (a power of 2), the
    longest run, bits of a group of hints; of this participant: patience. *)
Record geometry := {
  capacity : nat; slots_n : nat; turns : nat; longest : nat; hints : nat; patience : nat
}.

(** A batch that is under way: of a push what is left, of a pop how many are
    wanted; what is done. *)
Record batch := {
  values : list nat;         (* of a push: still to be pushed *)
  wanted : nat;              (* of a pop: still wanted *)
  pushed_n : nat;            (* so many are pushed *)
  popped_vs : list nat;      (* these are popped *)
  copies : bool              (* it goes on with another run *)
}.

(** Where a search for room was asked for, and goes on. *)
Inductive room_for :=
| ROOM_BEFORE (turn : nat)
| ROOM_MORE (n lost : nat) (w : word)
| ROOM_ANNOUNCED (q : nat) (w : word).

(** Where the marking of the seal was asked for. *)
Inductive seal_for :=
| SEAL_CALL | SEAL_MORE | SEAL_ANNOUNCED (q : nat).

(** Where a claim was met, and what goes on when it is resolved. [word] is the
    word as it was, which counts as a plain one if the claim is dead. *)
Inductive after_resolve :=
| AT_BEFORE (turn : nat) (w : word)
| AT_MORE (n lost : nat) (w : word)
| AT_TAKE (n lost : nat) (w : word)
| AT_ANNOUNCED (q : nat) (w : word)
| AT_ROOM (k : room_for) (r : nat) (w : word)
| AT_SEAL (k : seal_for) (p : nat) (w : word)
| CLAIMED_MORE (n lost : nat)
| CLAIMED_TAKE (n lost : nat)
| CLAIMED_ANNOUNCED (q : nat).

(** Where a position is gone beyond. *)
Inductive advance_for :=
| GO_BEFORE (turn : nat) | GO_MORE (n lost : nat) | GO_TAKE (n lost : nat)
| GO_ANNOUNCED (q : nat).

(** Where a pending operation is looked for. *)
Inductive pending_for :=
| PEND_MORE (n lost : nat) (w : word)
| PEND_TAKE (n lost : nat) (w : word)
| PEND_ANNOUNCED (q : nat) (w : word).

(** Where the hint is moved after success. *)
Inductive hint_for :=
| STEPPED (n : nat)                        (* [new_group]; then the call goes on *)
| TOLD (k : after_resolve).

Inductive pc :=
| IDLE
| DONE (r : result)
(* [try_claim], [look_before_push], [try_commit] *)
| CLAIM_LOOK (v : nat)
| BEFORE_LOOK (turn : nat)
| COMMIT_TURN (w : word) (n by_ : nat)     (* [wanted] *)
| COMMIT_DECIDE (w : word) (n : nat)
| COPIES_LOOK (n : nat)                    (* [push_copies] *)
(* [push_more] *)
| MORE_LOOK (n lost : nat)
| MORE_CLOSING (n lost : nat) (w : word)
| MORE_TURN (n lost : nat) (w : word) (by_ limit : nat)
| MORE_DECIDE (n lost : nat) (w : word) (k : nat)
(* [try_take], [pop_some], [take] *)
| POP_LOOK (most : nat)
| POP_TURN (most : nat) (w : word) (by_ : nat)
| POP_DECIDE (most : nat) (w : word)
| TAKE_LOOK (n lost : nat)
| TAKE_WHOLE (n lost : nat) (w : word)
| TAKE_SOME (n lost : nat) (w : word) (k : nat)
(* [announce] *)
| OPEN_CELL (q : nat) | OPEN_STATE (q : nat) | OPEN_ANNOUNCE (q : nat) | OPEN_FENCE (q : nat)
| ANN_STATE (q : nat)
| ANN_LOOK (q : nat)
| ANN_CLOSING (q : nat) (w : word)
| ANN_WITHDRAW (q : nat) (closed : bool)
| ANN_RETIRE (r : option bool)             (* None: done; Some true: closed; else blocked *)
(* [pending], [claim_for] *)
| PENDING_1 (k : pending_for) (by_ n : nat)
| PENDING_2 (k : pending_for) (by_ n : nat) (p s : nat)
| CLAIM_IT (k : after_resolve) (w : word) (p s : nat)
(* [resolve], [tell] *)
| RES_STATE (k : after_resolve) (i : nat) (c : word)
| RES_SLOT (k : after_resolve) (i : nat) (c : word) (e : estate)
| RES_CONFIRM (k : after_resolve) (i : nat) (c : word) (e : estate)
| RES_SEEN (k : after_resolve) (i : nat) (c : word) (first : nat)
| RES_CELL (k : after_resolve) (i : nat) (c : word)
| RES_COMPLETE (k : after_resolve) (i : nat) (c next : word) (part : bool)
| TELL_PEEK (k : after_resolve) (i : nat) (c : word)
| MOVE_PEEK (k : hint_for) (s : side) (p : nat)
| MOVE_HINT (k : hint_for) (s : side) (was p : nat)
| GROUP_CLOSING (n : nat)
(* [advance], [after] *)
| AFTER_HINT (k : advance_for)
| ADV_HINT (k : advance_for) (next : nat)
(* [find_room], [push_hint] *)
| ROOM_KNOWN (k : room_for)
| ROOM_AT (k : room_for) (r : nat)
| ROOM_AFTER (k : room_for) (r : nat)
| ROOM_PUSH (k : room_for) (r : nat)
| ROOM_CAS (k : room_for) (r was : nat)
(* [still] *)
| STILL_FENCE (k : room_for) (i : nat) (w : word)
| STILL_LOOK (k : room_for) (i : nat) (w : word)
| EMPTY_FENCE (n lost : nat) (w : word)       (* of a pop, in [take] *)
| EMPTY_LOOK (n lost : nat) (w : word)
| ANN_EMPTY_FENCE (q : nat) (w : word)        (* of a pop, announced *)
| ANN_EMPTY_LOOK (q : nat) (w : word)
(* [closed], [seal], [mark_sealed], [frontier] *)
| NOTE_CLOSED
| ASK_CLOSE
| SEAL_FROM (k : seal_for)
| SEAL_WALK (k : seal_for) (p : nat)
| SEAL_SEE (k : seal_for) (p : nat)
| SEAL_CAS (k : seal_for) (p : nat) (w : word)
| SEAL_TELL (k : seal_for).

(** A participant. [position] is the own one, [spare] its cell. *)
Record actor := {
  who_side : side; me : nat; position : nat; spare : nat; limit : nat; room : nat;
  armed : bool; took : taken; seen : nat; sequence : nat; aside : list nat;
  job : batch; at_ : pc; own : nat (* accesses of this call *)
}.

(** What is shared. [closing] and [closed] are the bits of one word. *)
Record shared := {
  slots : list word;
  hint_push : nat; hint_pop : nat;
  closing : bool; closed_ : bool;
  announced_push : list nat; announced_pop : list nat;
  entries_push : list (entry * entry); entries_pop : list (entry * entry);
  cells : list payload
}.

(** What a step did to which word, to be compared with a recorded one. *)
Inductive place :=
| Slot (i : nat) | Hint (s : side) | Announced (s : side) (p : nat)
| EntryState (s : side) (p par : nat) | EntryCell (s : side) (p par : nat)
| ClosedWord | Nowhere.
Inductive value := VWord (w : word) | VState (e : estate) | VNum (n : nat).
Inductive access :=
| Load (s : step) (l : place) (v : value)
| Store (s : step) (l : place) (v : value)
| Cas (s : step) (l : place) (seen new : value) (done : bool)
| Or (s : step) (l : place) (was now : value)
| Fence (s : step).

(** Lists as small arrays. *)
Fixpoint put {A} (l : list A) (i : nat) (x : A) : list A :=
  match l, i with
  | [], _ => []
  | _ :: t, 0 => x :: t
  | h :: t, S j => h :: put t j x
  end.

Definition word0 : word := W 0 false 0 0 0 0 0.
Definition payload0 : payload := P 0 [].
Definition entry0 : entry := Entry (E 0 0 BLOCKED 0) 0.

Definition word_eqb (a b : word) : bool :=
  (phase a =? phase b) && Bool.eqb (sealed a) (sealed b) && (seq a =? seq b) && (who a =? who b)
  && (popped a =? popped b) && (len a =? len b) && (cell a =? cell b).
Definition status_eqb (a b : status) : bool :=
  match a, b with
  | BLOCKED, BLOCKED | PENDING, PENDING | WHOLE, WHOLE | PART, PART => true
  | _, _ => false
  end.
Definition estate_eqb (a b : estate) : bool :=
  (eseq a =? eseq b) && (run a =? run b) && status_eqb (stat a) (stat b) && (got a =? got b).

Definition odd (n : nat) : bool := n mod 2 =? 1.

Definition slot_at (m : shared) (i : nat) : word := nth i (slots m) word0.
Definition hint_of (m : shared) (s : side) : nat :=
  match s with PUSH => hint_push m | POP => hint_pop m end.
Definition announced_of (m : shared) (s : side) (p : nat) : nat :=
  nth p (match s with PUSH => announced_push m | POP => announced_pop m end) 0.
Definition entry_of (m : shared) (s : side) (p q : nat) : entry :=
  let both := nth p (match s with PUSH => entries_push m | POP => entries_pop m end)
                  (entry0, entry0) in
  if odd q then snd both else fst both.
Definition cell_at (m : shared) (c : nat) : payload := nth c (cells m) payload0.

Definition set_slot (m : shared) (i : nat) (w : word) : shared :=
  {| slots := put (slots m) i w; hint_push := hint_push m; hint_pop := hint_pop m;
     closing := closing m; closed_ := closed_ m;
     announced_push := announced_push m; announced_pop := announced_pop m;
     entries_push := entries_push m; entries_pop := entries_pop m; cells := cells m |}.
Definition set_hint (m : shared) (s : side) (p : nat) : shared :=
  {| slots := slots m;
     hint_push := match s with PUSH => p | POP => hint_push m end;
     hint_pop := match s with PUSH => hint_pop m | POP => p end;
     closing := closing m; closed_ := closed_ m;
     announced_push := announced_push m; announced_pop := announced_pop m;
     entries_push := entries_push m; entries_pop := entries_pop m; cells := cells m |}.
Definition set_closed (m : shared) (asked is : bool) : shared :=
  {| slots := slots m; hint_push := hint_push m; hint_pop := hint_pop m;
     closing := closing m || asked; closed_ := closed_ m || is;
     announced_push := announced_push m; announced_pop := announced_pop m;
     entries_push := entries_push m; entries_pop := entries_pop m; cells := cells m |}.
Definition set_announced (m : shared) (s : side) (p q : nat) : shared :=
  {| slots := slots m; hint_push := hint_push m; hint_pop := hint_pop m;
     closing := closing m; closed_ := closed_ m;
     announced_push := match s with PUSH => put (announced_push m) p q | POP => announced_push m end;
     announced_pop := match s with PUSH => announced_pop m | POP => put (announced_pop m) p q end;
     entries_push := entries_push m; entries_pop := entries_pop m; cells := cells m |}.
Definition set_entry (m : shared) (s : side) (p q : nat) (e : entry) : shared :=
  let change all :=
    let both := nth p all (entry0, entry0) in
    put all p (if odd q then (fst both, e) else (e, snd both)) in
  {| slots := slots m; hint_push := hint_push m; hint_pop := hint_pop m;
     closing := closing m; closed_ := closed_ m;
     announced_push := announced_push m; announced_pop := announced_pop m;
     entries_push := match s with PUSH => change (entries_push m) | POP => entries_push m end;
     entries_pop := match s with PUSH => entries_pop m | POP => change (entries_pop m) end;
     cells := cells m |}.
Definition set_cell (m : shared) (c : nat) (x : payload) : shared :=
  {| slots := slots m; hint_push := hint_push m; hint_pop := hint_pop m;
     closing := closing m; closed_ := closed_ m;
     announced_push := announced_push m; announced_pop := announced_pop m;
     entries_push := entries_push m; entries_pop := entries_pop m;
     cells := put (cells m) c x |}.

Definition go (a : actor) (x : pc) : actor :=
  {| who_side := who_side a; me := me a; position := position a; spare := spare a;
     limit := limit a; room := room a; armed := armed a; took := took a; seen := seen a;
     sequence := sequence a; aside := aside a; job := job a; at_ := x; own := own a |}.
Definition set_position (a : actor) (p : nat) : actor :=
  {| who_side := who_side a; me := me a; position := p; spare := spare a;
     limit := limit a; room := room a; armed := armed a; took := took a; seen := seen a;
     sequence := sequence a; aside := aside a; job := job a; at_ := at_ a; own := own a |}.
Definition set_spare (a : actor) (c : nat) : actor :=
  {| who_side := who_side a; me := me a; position := position a; spare := c;
     limit := limit a; room := room a; armed := armed a; took := took a; seen := seen a;
     sequence := sequence a; aside := aside a; job := job a; at_ := at_ a; own := own a |}.
Definition set_room (a : actor) (limit_ room_ seen_ : nat) : actor :=
  {| who_side := who_side a; me := me a; position := position a; spare := spare a;
     limit := limit_; room := room_; armed := armed a; took := took a; seen := seen_;
     sequence := sequence a; aside := aside a; job := job a; at_ := at_ a; own := own a |}.
Definition set_armed (a : actor) (b : bool) : actor :=
  {| who_side := who_side a; me := me a; position := position a; spare := spare a;
     limit := limit a; room := room a; armed := b; took := took a; seen := seen a;
     sequence := sequence a; aside := aside a; job := job a; at_ := at_ a; own := own a |}.
Definition set_took (a : actor) (t : taken) : actor :=
  {| who_side := who_side a; me := me a; position := position a; spare := spare a;
     limit := limit a; room := room a; armed := armed a; took := t; seen := seen a;
     sequence := sequence a; aside := aside a; job := job a; at_ := at_ a; own := own a |}.
Definition set_sequence (a : actor) (q : nat) : actor :=
  {| who_side := who_side a; me := me a; position := position a; spare := spare a;
     limit := limit a; room := room a; armed := armed a; took := took a; seen := seen a;
     sequence := q; aside := aside a; job := job a; at_ := at_ a; own := own a |}.
Definition set_aside (a : actor) (l : list nat) : actor :=
  {| who_side := who_side a; me := me a; position := position a; spare := spare a;
     limit := limit a; room := room a; armed := armed a; took := took a; seen := seen a;
     sequence := sequence a; aside := l; job := job a; at_ := at_ a; own := own a |}.
Definition set_job (a : actor) (b : batch) : actor :=
  {| who_side := who_side a; me := me a; position := position a; spare := spare a;
     limit := limit a; room := room a; armed := armed a; took := took a; seen := seen a;
     sequence := sequence a; aside := aside a; job := b; at_ := at_ a; own := own a |}.
Definition set_own (a : actor) (n : nat) : actor :=
  {| who_side := who_side a; me := me a; position := position a; spare := spare a;
     limit := limit a; room := room a; armed := armed a; took := took a; seen := seen a;
     sequence := sequence a; aside := aside a; job := job a; at_ := at_ a; own := n |}.

(** What Rust computes with words. *)
Section Ring.
Variable g : geometry.

Definition index (p : nat) : nat := p mod slots_n g.
(** The phase of a slot that waits for this position of a side: [Side::base]. *)
Definition base (s : side) (p : nat) : nat := 2 * (p / slots_n g) + num s.
Definition my_base (a : actor) : nat := base (who_side a) (position a).
Definition turn_of (p : nat) : nat := p mod turns g.
Definition length_of (w : word) : nat := S (len w).
Definition left_of (w : word) : nat := Nat.max 1 (length_of w - popped w).
Definition is_done (a : actor) (w : word) : bool := my_base a <? phase w.
Definition is_behind (a : actor) (w : word) : bool := phase w <? my_base a.
Definition barred (w : word) : bool := sealed w || negb (who w =? 0).
Definition plain (w : word) : word :=
  W (phase w) (sealed w) 0 0 (popped w) (len w) (cell w).
Definition more_popped (w : word) (n : nat) : word :=
  W (phase w) (sealed w) (seq w) (who w) (popped w + n) (len w) (cell w).
Definition claim_word (ph q p : nat) (w : word) : word :=
  if odd ph then W ph (sealed w) (q mod 4) (S p) (popped w) (len w) (cell w)
  else W ph (sealed w) (q mod 4) (S p) 0 0 (cell w).

(** The elements that a slot's word has left, the next first. *)
Definition front (m : shared) (w : word) (n : nat) : list nat :=
  let x := cell_at m (cell w) in
  if len w =? 0 then [one x] else firstn n (skipn (popped w) (many x)).
(** What was taken last. *)
Definition taken_values (m : shared) (a : actor) (n : nat) : list nat :=
  match took a with
  | SINGLE => [one (cell_at m (spare a))]
  | FROM i => firstn n (skipn i (many (cell_at m (spare a))))
  | ASIDE => firstn n (aside a)
  end.

(** Puts the first element of the spare's run where a single one lies. *)
Definition make_single (m : shared) (a : actor) : shared :=
  let x := cell_at m (spare a) in
  if longest g =? 1 then m
  else set_cell m (spare a) (P (hd (one x) (many x)) (many x)).

Definition batch0 : batch :=
  {| values := []; wanted := 0; pushed_n := 0; popped_vs := []; copies := false |}.

(** The batch goes on: writes the next run into the spare, or asks for the next
    elements; or the call is done. *)
Definition next_run (m : shared) (a : actor) : shared * actor :=
  let b := job a in
  match who_side a with
  | PUSH =>
    let n := Nat.min (length (values b)) (longest g) in
    match values b with
    | [] => (m, go a (DONE (Pushed (pushed_n b))))
    | v :: _ =>
      let x := cell_at m (spare a) in
      let x' := if n =? 1 then P v (many x) else P (one x) (firstn n (values b)) in
      (set_cell m (spare a) x', go a (COPIES_LOOK n))
    end
  | POP =>
    if wanted b =? 0 then (m, go a (DONE (Popped (popped_vs b))))
    else (m, go a (POP_LOOK (wanted b)))
  end.

(** [n] elements are pushed, or popped. *)
Definition succeed (m : shared) (a : actor) (n : nat) : shared * actor :=
  let b := job a in
  match who_side a with
  | PUSH =>
    let a := set_job a {| values := skipn n (values b); wanted := 0;
                          pushed_n := pushed_n b + n; popped_vs := []; copies := copies b |} in
    if copies b then next_run m a else (m, go a (DONE (Pushed (pushed_n b + n))))
  | POP =>
    let vs := popped_vs b ++ taken_values m a n in
    let a := set_job a {| values := []; wanted := wanted b - n; pushed_n := 0;
                          popped_vs := vs; copies := copies b |} in
    if copies b then next_run m a else (m, go a (DONE (Popped vs)))
  end.

(** The call is refused, unless a part of its batch is done. *)
Definition refuse (a : actor) (r : result) : actor :=
  let b := job a in
  match who_side a with
  | PUSH => go a (DONE (if pushed_n b =? 0 then r else Pushed (pushed_n b)))
  | POP => go a (DONE (match popped_vs b with [] => r | vs => Popped vs end))
  end.

(** The position has moved on by [n]; goes on with [STEPPED], see [new_group].
    A group is 8 positions, hints are told of every 2^hints. *)
Definition crosses (was now bits : nat) : bool := negb (was / 2 ^ bits =? now / 2 ^ bits).
Definition step_on (m : shared) (a : actor) (n : nat) (moved : nat) : shared * actor :=
  let was := position a in
  let a := set_position a (was + n) in
  if crosses was (was + n) (hints g) then
    if (n <? 4) || crosses was (was + n) (hints g + 2) then
      (m, go a (MOVE_PEEK (STEPPED moved) (who_side a) (was + n)))
    else match who_side a with
         | PUSH => (m, go a (GROUP_CLOSING moved))
         | POP => succeed m a moved
         end
  else succeed m a moved.

Definition open_way (a : actor) : actor :=
  set_room a (if patience g =? 0 then 0 else room a) (room a) (seen a).
Definition block (a : actor) : actor :=
  set_armed (match who_side a with
             | PUSH => set_room a 0 (room a) (seen a)
             | POP => a
             end) true.

(** [announce] begins. *)
Definition announce (a : actor) : actor :=
  let q := S (sequence a) in go (set_sequence a q) (OPEN_CELL q).

(** The heads of the two loops. *)
Definition more (m : shared) (a : actor) (n lost : nat) : shared * actor :=
  if lost <? patience g then (m, go a (MORE_LOOK n lost))
  else (if 1 <? n then make_single m a else m, announce a).
Definition take (m : shared) (a : actor) (n lost : nat) : shared * actor :=
  if lost <? patience g then (m, go a (TAKE_LOOK n lost))
  else (m, announce a).

(** [look_before_push] looks four times at the most; then the exchange decides. *)
Definition commit (m : shared) (a : actor) (w : option word) : shared * actor :=
  let v := hd 0 (values (job a)) in
  let x := cell_at m (spare a) in
  let m := set_cell m (spare a) (P v (many x)) in
  match w with
  | Some w => (m, go a (COMMIT_TURN w 1 0))
  | None => more m a 1 0
  end.
Definition before (m : shared) (a : actor) (turn : nat) : shared * actor :=
  if turn <? 4 then (m, go a (BEFORE_LOOK turn)) else commit m a None.

Definition advanced (m : shared) (a : actor) (k : advance_for) (p : nat) : shared * actor :=
  let a := set_position a p in
  match k with
  | GO_BEFORE turn => before m a (S turn)
  | GO_MORE n lost => more m a n lost
  | GO_TAKE n lost => take m a n lost
  | GO_ANNOUNCED q => (m, go a (ANN_STATE q))
  end.

(** [advance]: the next position is known. *)
Definition advance_to (m : shared) (a : actor) (k : advance_for) (next : nat) : shared * actor :=
  if (next <? position a) || (16 <? next - position a) || crosses (position a) next (hints g)
  then (m, go a (ADV_HINT k next))
  else advanced m a k next.

(** [after]: [None] where the hint of the pops says it. *)
Definition after (s : side) (p : nat) (w : word) : option nat :=
  let lap := p / slots_n g in
  let later := phase w - 2 * lap in
  let pushes_claim := negb (odd later) && negb (who w =? 0) in
  match s with
  | PUSH =>
    let laps := lap + (if pushes_claim then later / 2 else (later - 1) / 2) in
    let r := if pushes_claim then 0 else length_of w in
    Some (laps * slots_n g + index p + r)
  | POP =>
    if (later =? 2) && negb pushes_claim then Some (p + length_of w) else None
  end.

Definition advance (m : shared) (a : actor) (k : advance_for) (w : word) : shared * actor :=
  match after (who_side a) (position a) w with
  | Some next => advance_to m a k next
  | None => (m, go a (AFTER_HINT k))
  end.

(** There is room. *)
Definition more_goes_on (m : shared) (a : actor) (n lost : nat) (w : word) : shared * actor :=
  let a := if armed a && negb (patience g =? 0) then set_armed a false else a in
  (m, go a (PENDING_1 (PEND_MORE n lost w) 0 1)).
Definition roomy (m : shared) (a : actor) (k : room_for) : shared * actor :=
  match k with
  | ROOM_BEFORE _ => commit m a None
  | ROOM_MORE n lost w => more_goes_on m a n lost w
  | ROOM_ANNOUNCED q w => (m, go a (PENDING_1 (PEND_ANNOUNCED q w) 0 1))
  end.
(** Others moved too much, or the slot has changed. *)
Definition room_moved (m : shared) (a : actor) (k : room_for) : shared * actor :=
  match k with
  | ROOM_BEFORE turn => before m a (S turn)
  | ROOM_MORE n lost _ => more m a n (S lost)
  | ROOM_ANNOUNCED q _ => (m, go a (ANN_STATE q))
  end.
(** The ring is full, decided. *)
Definition full (a : actor) (k : room_for) : actor :=
  match k with
  | ROOM_ANNOUNCED q _ => go a (ANN_WITHDRAW q false)
  | _ => refuse (block a) Full
  end.

Definition room_for_it (m : shared) (a : actor) (k : room_for) : shared * actor :=
  if position a <? room a then roomy m a k else (m, go a (ROOM_KNOWN k)).

(** [find_room] has come to a run that is not popped. *)
Definition room_found (m : shared) (a : actor) (k : room_for) (r : nat) (w : word) (at_front : bool)
  : shared * actor :=
  let front := if at_front then r + popped w else r in
  if at_front && (front + capacity g <=? position a) then
    (m, go (set_room a (limit a) (room a) r) (STILL_FENCE k (index r) w))
  else
    let a := set_room a (limit a) (front + capacity g) r in
    if front + capacity g <=? position a then room_moved m a k
    else (m, go a (ROOM_PUSH k r)).

(** The resolved claim was dead: its word is as good as a plain one. *)
Definition was_dead (m : shared) (a : actor) (k : after_resolve) : shared * actor :=
  match k with
  | AT_BEFORE turn w =>
    if sealed w then (m, go a NOTE_CLOSED) else room_for_it m a (ROOM_BEFORE turn)
  | AT_MORE n lost w =>
    if sealed w then (m, go a NOTE_CLOSED) else (m, go a (MORE_CLOSING n lost w))
  | AT_TAKE n lost w =>
    if is_behind a w then
      if sealed w then (m, go a NOTE_CLOSED) else (m, go a (EMPTY_FENCE n lost w))
    else
      let a := if armed a && negb (patience g =? 0) then set_armed a false else a in
      if Nat.min n (left_of w) =? left_of w then
        (m, go a (PENDING_1 (PEND_TAKE n lost w) 0 (length_of w)))
      else
        let k := Nat.min n (left_of w) in
        (m, go (set_aside a (front m w k)) (TAKE_SOME n lost w k))
  | AT_ANNOUNCED q w =>
    match who_side a with
    | PUSH =>
      if sealed w then (m, go a (ANN_WITHDRAW q true)) else (m, go a (ANN_CLOSING q w))
    | POP =>
      if is_behind a w then (m, go a (ANN_EMPTY_FENCE q w))
      else if 1 <? left_of w then
        (m, go (set_aside a (front m w 1)) (CLAIM_IT (CLAIMED_ANNOUNCED q) w (me a) q))
      else (m, go a (PENDING_1 (PEND_ANNOUNCED q w) 0 (length_of w)))
    end
  | AT_ROOM k r w => room_found m a k r w true
  | AT_SEAL k p w => (m, go a (SEAL_CAS k p w))
  | CLAIMED_MORE n lost => more m a n (S lost)
  | CLAIMED_TAKE n lost => take m a n (S lost)
  | CLAIMED_ANNOUNCED q => (m, go a (ANN_STATE q))
  end.
(** The slot has moved on. *)
Definition has_moved (m : shared) (a : actor) (k : after_resolve) : shared * actor :=
  match k with
  | AT_BEFORE turn _ => before m a (S turn)
  | AT_MORE n lost _ => more m a n (S lost)
  | AT_TAKE n lost _ => take m a n (S lost)
  | AT_ANNOUNCED q _ => (m, go a (ANN_STATE q))
  | AT_ROOM k r _ => (m, go a (ROOM_AT k r))
  | AT_SEAL k _ _ => (m, go a (SEAL_FROM k))
  | _ => was_dead m a k
  end.

(** A word was read at the own position: goes beyond, resolves, goes on. *)
Definition looked (m : shared) (a : actor) (adv : advance_for) (k : after_resolve) (w : word)
  : shared * actor :=
  if is_done a w then advance m a adv w
  else if who w =? 0 then was_dead m a k
  else (m, go a (RES_STATE k (index (position a)) w)).

(** Nobody is to be helped: the own operation. *)
Definition own_way (m : shared) (a : actor) (k : pending_for) : shared * actor :=
  match k with
  | PEND_MORE n lost w =>
    let fits := Nat.min (Nat.min n (Nat.max 1 (room a - position a))) (longest g) in
    (* [wanted] of the positions after the first *)
    if fits =? 1 then
      (if 1 <? n then make_single m a else m, go a (MORE_DECIDE n lost w 1))
    else (m, go a (MORE_TURN n lost w 1 fits))
  | PEND_TAKE n lost w => (m, go a (TAKE_WHOLE n lost w))
  | PEND_ANNOUNCED q w => (m, go a (CLAIM_IT (CLAIMED_ANNOUNCED q) w (me a) q))
  end.
(** Somebody is. *)
Definition help (m : shared) (a : actor) (k : pending_for) (p s : nat) : shared * actor :=
  match k with
  | PEND_MORE n lost w => (m, go a (CLAIM_IT (CLAIMED_MORE n lost) w p s))
  | PEND_TAKE n lost w =>
    if left_of w =? 1 then (m, go a (CLAIM_IT (CLAIMED_TAKE n lost) w p s))
    else
      (* The last element of this run is somebody else's. *)
      let k := left_of w - 1 in
      (m, go (set_aside a (front m w k)) (TAKE_SOME n lost w k))
  | PEND_ANNOUNCED q w => (m, go a (CLAIM_IT (CLAIMED_ANNOUNCED q) w p s))
  end.
Definition next_pending (m : shared) (a : actor) (k : pending_for) (by_ n : nat) : shared * actor :=
  if S by_ <? n then (m, go a (PENDING_1 k (S by_) n)) else own_way m a k.
(** Each time round another one comes first. *)
Definition preferred (a : actor) (by_ n : nat) : nat :=
  turn_of (position a + (position a / turns g + by_) mod n).

(** The exchange of a push at the own position. *)
Definition pushed_word (a : actor) (k : nat) : word :=
  W (S (my_base a)) false 0 0 0 (k - 1) (spare a).

(** One step of a participant: what it did, and what is then. [None]: it has
    nothing to do. *)
Definition tstep (m : shared) (a : actor) : option (access * (shared * actor)) :=
  let i := index (position a) in
  let s := who_side a in
  let look x := Load SLOT_LOOK (Slot i) (VWord x) in
  match at_ a with
  | IDLE | DONE _ => None
  | CLAIM_LOOK v =>
    let w := slot_at m i in
    Some (look w,
      if (position a <? limit a) && negb (is_done a w) && negb (barred w)
      then commit m a (Some w) else before m a 0)
  | BEFORE_LOOK turn =>
    let w := slot_at m i in
    Some (look w, looked m a (GO_BEFORE turn) (AT_BEFORE turn w) w)
  | COPIES_LOOK n =>
    let w := slot_at m i in
    Some (look w,
      if (position a + n <=? limit a) && negb (is_done a w) && negb (barred w)
      then (m, go a (COMMIT_TURN w n 0)) else more m a n 0)
  | COMMIT_TURN w n by_ =>
    let p := turn_of (position a + by_) in
    let x := announced_of m s p in
    Some (Load TURN_LOOK (Announced s p) (VNum x),
      if negb (x =? 0) then more m a n 0
      else if S by_ <? n then (m, go a (COMMIT_TURN w n (S by_)))
      else (m, go a (COMMIT_DECIDE w n)))
  | COMMIT_DECIDE w n =>
    let now := slot_at m i in
    let new := pushed_word a n in
    let done := word_eqb now w in
    Some (Cas DECIDE (Slot i) (VWord now) (VWord new) done,
      if done then step_on (set_slot m i new) (set_spare a (cell w)) n n
      else more m a n 0)
  | MORE_LOOK n lost =>
    let w := slot_at m i in
    Some (look w, looked m a (GO_MORE n lost) (AT_MORE n lost w) w)
  | MORE_CLOSING n lost w =>
    let bits := (if closing m then 1 else 0) + (if closed_ m then 2 else 0) in
    Some (Load CLOSING_LOOK ClosedWord (VNum bits),
      if bits =? 0 then room_for_it m a (ROOM_MORE n lost w)
      else (m, go a (SEAL_FROM SEAL_MORE)))
  | MORE_TURN n lost w by_ fits =>
    let p := turn_of (position a + by_) in
    let x := announced_of m s p in
    Some (Load TURN_LOOK (Announced s p) (VNum x),
      let decide k :=
        (if (k =? 1) && (1 <? n) then make_single m a else m, go a (MORE_DECIDE n lost w k)) in
      if negb (x =? 0) then decide by_
      else if S by_ <? fits then (m, go a (MORE_TURN n lost w (S by_) fits))
      else decide fits)
  | MORE_DECIDE n lost w k =>
    let now := slot_at m i in
    let new := pushed_word a k in
    let done := word_eqb now w in
    Some (Cas DECIDE (Slot i) (VWord now) (VWord new) done,
      if done then step_on (set_slot m i new) (open_way (set_spare a (cell w))) k k
      else more m a n (S lost))
  | POP_LOOK want =>
    let w := slot_at m i in
    let ready := (phase w =? my_base a) && negb (barred w) && negb (armed a) in
    let fits := if want =? 1 then (popped w =? 0) && (len w =? 0) else left_of w <=? want in
    Some (look w,
      if ready && fits then (m, go a (POP_TURN want w 0)) else take m a want 0)
  | POP_TURN want w by_ =>
    let p := turn_of (position a + by_) in
    let x := announced_of m s p in
    Some (Load TURN_LOOK (Announced s p) (VNum x),
      if negb (x =? 0) then take m a want 0
      else if S by_ <? length_of w then (m, go a (POP_TURN want w (S by_)))
      else (m, go a (POP_DECIDE want w)))
  | POP_DECIDE want w =>
    let now := slot_at m i in
    let new := W (S (my_base a)) false 0 0 0 (len w) (spare a) in
    let done := word_eqb now w in
    Some (Cas DECIDE (Slot i) (VWord now) (VWord new) done,
      if done then
        let a := set_took (set_spare a (cell w)) (if len w =? 0 then SINGLE else FROM (popped w)) in
        step_on (set_slot m i new) a (length_of w) (left_of w)
      else take m a want 0)
  | TAKE_LOOK n lost =>
    let w := slot_at m i in
    Some (look w, looked m a (GO_TAKE n lost) (AT_TAKE n lost w) w)
  | TAKE_WHOLE n lost w =>
    let now := slot_at m i in
    let new := W (S (my_base a)) (sealed w) 0 0 0 (len w) (spare a) in
    let done := word_eqb now w in
    Some (Cas DECIDE (Slot i) (VWord now) (VWord new) done,
      if done then
        let a := set_took (set_spare a (cell w)) (if len w =? 0 then SINGLE else FROM (popped w)) in
        step_on (set_slot m i new) a (length_of w) (left_of w)
      else take m a n (S lost))
  | TAKE_SOME n lost w k =>
    let now := slot_at m i in
    let new := more_popped (plain w) k in
    let done := word_eqb now w in
    Some (Cas TAKE_PART (Slot i) (VWord now) (VWord new) done,
      if done then succeed (set_slot m i new) (set_took a ASIDE) k
      else take m a n (S lost))
  (* announced *)
  | OPEN_CELL q =>
    let e := entry_of m s (me a) q in
    Some (Store ANNOUNCE_CELL (EntryCell s (me a) (q mod 2)) (VNum (spare a)),
      (set_entry m s (me a) q (Entry (state e) (spare a)), go a (OPEN_STATE q)))
  | OPEN_STATE q =>
    let e := entry_of m s (me a) q in
    let x := E q 0 PENDING 0 in
    Some (Store ANNOUNCE_STATE (EntryState s (me a) (q mod 2)) (VState x),
      (set_entry m s (me a) q (Entry x (gives e)), go a (OPEN_ANNOUNCE q)))
  | OPEN_ANNOUNCE q =>
    Some (Store ANNOUNCE (Announced s (me a)) (VNum q),
      (set_announced m s (me a) q, go a (OPEN_FENCE q)))
  | OPEN_FENCE q => Some (Fence ANNOUNCE_FENCE, (m, go a (ANN_STATE q)))
  | ANN_STATE q =>
    let x := state (entry_of m s (me a) q) in
    Some (Load OWN_STATE (EntryState s (me a) (q mod 2)) (VState x),
      match stat x with
      | WHOLE =>
        let t := if run x =? 0 then SINGLE else FROM (run x) in
        (m, go (set_took (set_spare a (got x)) t) (ANN_RETIRE None))
      | PART => (m, go (set_took a ASIDE) (ANN_RETIRE None))
      | _ => (m, go a (ANN_LOOK q))
      end)
  | ANN_LOOK q =>
    let w := slot_at m i in
    Some (look w, looked m a (GO_ANNOUNCED q) (AT_ANNOUNCED q w) w)
  | ANN_CLOSING q w =>
    let bits := (if closing m then 1 else 0) + (if closed_ m then 2 else 0) in
    Some (Load CLOSING_LOOK ClosedWord (VNum bits),
      if bits =? 0 then room_for_it m a (ROOM_ANNOUNCED q w)
      else (m, go a (SEAL_FROM (SEAL_ANNOUNCED q))))
  | ANN_WITHDRAW q c =>
    let e := entry_of m s (me a) q in
    let x := state e in
    let new := E q 0 BLOCKED 0 in
    let done := estate_eqb x (E q 0 PENDING 0) in
    Some (Cas WITHDRAW (EntryState s (me a) (q mod 2)) (VState x) (VState new) done,
      if done then (set_entry m s (me a) q (Entry new (gives e)), go a (ANN_RETIRE (Some c)))
      else (m, go a (ANN_STATE q)))
  | ANN_RETIRE r =>
    let m' := set_announced m s (me a) 0 in
    Some (Store RETIRE (Announced s (me a)) (VNum 0),
      match r with
      | None => succeed m' (open_way a) 1
      | Some true => (m', go a NOTE_CLOSED)
      | Some false => (m', refuse (block a) (match s with PUSH => Full | POP => Empty end))
      end)
  (* pending, claim *)
  | PENDING_1 k by_ n =>
    let p := preferred a by_ n in
    let x := announced_of m s p in
    Some (Load PENDING_ANNOUNCED (Announced s p) (VNum x),
      if x =? 0 then next_pending m a k by_ n else (m, go a (PENDING_2 k by_ n p x)))
  | PENDING_2 k by_ n p q =>
    let x := state (entry_of m s p q) in
    Some (Load PENDING_STATE (EntryState s p (q mod 2)) (VState x),
      if (eseq x =? q) && status_eqb (stat x) PENDING then help m a k p q
      else next_pending m a k by_ n)
  | CLAIM_IT k w p q =>
    let now := slot_at m i in
    let c := claim_word (my_base a) q p w in
    let done := word_eqb now w in
    Some (Cas CLAIM (Slot i) (VWord now) (VWord c) done,
      if done then (set_slot m i c, go a (RES_STATE k i c)) else was_dead m a k)
  (* resolve *)
  | RES_STATE k j c =>
    let cs := if odd (phase c) then POP else PUSH in
    let p := who c - 1 in
    let x := state (entry_of m cs p (seq c)) in
    Some (Load RESOLVE_STATE (EntryState cs p (seq c mod 2)) (VState x),
      if negb (eseq x mod 4 =? seq c) then was_dead m a k
      else match stat x with
           | PENDING => (m, go a (RES_SLOT k j c x))
           | _ =>
             let part := odd (phase c) && (1 <? left_of c) in
             let r := if odd (phase c) then popped c else 0 in
             let done := E (eseq x) r (if part then PART else WHOLE) (cell c) in
             if negb (estate_eqb x done) then was_dead m a k
             else if part then
               (m, go a (RES_COMPLETE k j c (more_popped (plain c) 1) true))
             else (m, go a (RES_CELL k j c))
           end)
  | RES_SLOT k j c x =>
    let now := slot_at m j in
    Some (Load RESOLVE_SLOT (Slot j) (VWord now),
      if word_eqb now c then (m, go a (RES_CONFIRM k j c x)) else has_moved m a k)
  | RES_CONFIRM k j c x =>
    let cs := if odd (phase c) then POP else PUSH in
    let p := who c - 1 in
    let e := entry_of m cs p (seq c) in
    let part := odd (phase c) && (1 <? left_of c) in
    let r := if odd (phase c) then popped c else 0 in
    let new := E (eseq x) r (if part then PART else WHOLE) (cell c) in
    let done := estate_eqb (state e) x in
    Some (Cas CONFIRM (EntryState cs p (seq c mod 2)) (VState (state e)) (VState new) done,
      if done then
        let m := set_entry m cs p (seq c) (Entry new (gives e)) in
        if part then (m, go a (RES_COMPLETE k j c (more_popped (plain c) 1) true))
        else (m, go a (RES_CELL k j c))
      else (m, go a (RES_SEEN k j c (eseq x))))
  | RES_SEEN k j c first =>
    let cs := if odd (phase c) then POP else PUSH in
    let p := who c - 1 in
    let x := state (entry_of m cs p (seq c)) in
    let part := odd (phase c) && (1 <? left_of c) in
    let r := if odd (phase c) then popped c else 0 in
    Some (Load CONFIRM_SEEN (EntryState cs p (seq c mod 2)) (VState x),
      let done := E first r (if part then PART else WHOLE) (cell c) in
      if negb (estate_eqb x done) then was_dead m a k
      else if part then (m, go a (RES_COMPLETE k j c (more_popped (plain c) 1) true))
      else (m, go a (RES_CELL k j c)))
  | RES_CELL k j c =>
    let cs := if odd (phase c) then POP else PUSH in
    let p := who c - 1 in
    let x := gives (entry_of m cs p (seq c)) in
    let l := if odd (phase c) then len c else 0 in
    Some (Load RESOLVE_CELL (EntryCell cs p (seq c mod 2)) (VNum x),
      (m, go a (RES_COMPLETE k j c (W (S (phase c)) (sealed c) 0 0 0 l x) false)))
  | RES_COMPLETE k j c new part =>
    let now := slot_at m j in
    let done := word_eqb now c in
    Some (Cas COMPLETE (Slot j) (VWord now) (VWord new) done,
      if done then
        let m := set_slot m j new in
        if part then has_moved m a k else (m, go a (TELL_PEEK k j c))
      else has_moved m a k)
  | TELL_PEEK k j c =>
    let cs := if odd (phase c) then POP else PUSH in
    let h := hint_of m cs in
    let lap := phase c / 2 in
    let p := lap * slots_n g + j in
    let next := p + (match cs with POP => length_of c | PUSH => 1 end) in
    Some (Load HINT_PEEK (Hint cs) (VNum h),
      if (lap <? h / slots_n g) || negb (crosses p next (hints g)) then has_moved m a k
      else (m, go a (MOVE_PEEK (TOLD k) cs next)))
  | MOVE_PEEK k hs p =>
    let h := hint_of m hs in
    Some (Load HINT_PEEK (Hint hs) (VNum h),
      if h <? p then (m, go a (MOVE_HINT k hs h p))
      else match k with
           | TOLD k => has_moved m a k
           | STEPPED n => match s with
                          | PUSH => (m, go a (GROUP_CLOSING n))
                          | POP => succeed m a n
                          end
           end)
  | MOVE_HINT k hs was p =>
    let h := hint_of m hs in
    let done := h =? was in
    let m' := if done then set_hint m hs p else m in
    Some (Cas HINT_MOVE (Hint hs) (VNum h) (VNum p) done,
      match k with
      | TOLD k => has_moved m' a k
      | STEPPED n => match s with
                     | PUSH => (m', go a (GROUP_CLOSING n))
                     | POP => succeed m' a n
                     end
      end)
  | GROUP_CLOSING n =>
    let bits := (if closing m then 1 else 0) + (if closed_ m then 2 else 0) in
    Some (Load CLOSING_LOOK ClosedWord (VNum bits),
      succeed m (if bits =? 0 then a else set_room a 0 (room a) (seen a)) n)
  (* advance *)
  | AFTER_HINT k =>
    let h := hint_of m POP in
    Some (Load HINT_READ (Hint POP) (VNum h), advance_to m a k h)
  | ADV_HINT k next =>
    let h := hint_of m s in
    Some (Load HINT_READ (Hint s) (VNum h), advanced m a k (Nat.max next h))
  (* room *)
  | ROOM_KNOWN k =>
    let h := hint_of m POP in
    Some (Load ROOM_HINT (Hint POP) (VNum h),
      if position a <? h + capacity g then
        roomy m (set_room a (limit a) (h + capacity g) (seen a)) k
      else (m, go a (ROOM_AT k (Nat.max (seen a) h))))
  | ROOM_AT k r =>
    let w := slot_at m (index r) in
    let b := base POP r in
    Some (Load ROOM_LOOK (Slot (index r)) (VWord w),
      if phase w <? b then room_found m a k r w false
      else if phase w =? b then
        if who w =? 0 then room_found m a k r w true
        else (m, go a (RES_STATE (AT_ROOM k r w) (index r) w))
      else match after POP r w with
           | Some next => (m, go a (ROOM_AT k (Nat.max next r)))
           | None => (m, go a (ROOM_AFTER k r))
           end)
  | ROOM_AFTER k r =>
    let h := hint_of m POP in
    Some (Load HINT_READ (Hint POP) (VNum h), (m, go a (ROOM_AT k (Nat.max h r))))
  | ROOM_PUSH k r =>
    let h := hint_of m POP in
    Some (Load ROOM_PEEK (Hint POP) (VNum h),
      if r <=? h then roomy m a k else (m, go a (ROOM_CAS k r h)))
  | ROOM_CAS k r was =>
    let h := hint_of m POP in
    let done := h =? was in
    Some (Cas ROOM_MOVE (Hint POP) (VNum h) (VNum r) done,
      if done then roomy (set_hint m POP r) a k else (m, go a (ROOM_PUSH k r)))
  (* blocked *)
  | STILL_FENCE k j w => Some (Fence BLOCK_FENCE, (m, go a (STILL_LOOK k j w)))
  | STILL_LOOK k j w =>
    let now := slot_at m j in
    Some (Load BLOCK_LOOK (Slot j) (VWord now),
      if word_eqb now w then (m, full a k) else room_moved m a k)
  | EMPTY_FENCE n lost w => Some (Fence BLOCK_FENCE, (m, go a (EMPTY_LOOK n lost w)))
  | EMPTY_LOOK n lost w =>
    let now := slot_at m i in
    Some (Load BLOCK_LOOK (Slot i) (VWord now),
      if word_eqb now w then (m, refuse (set_armed a true) Empty) else take m a n (S lost))
  | ANN_EMPTY_FENCE q w => Some (Fence BLOCK_FENCE, (m, go a (ANN_EMPTY_LOOK q w)))
  | ANN_EMPTY_LOOK q w =>
    let now := slot_at m i in
    Some (Load BLOCK_LOOK (Slot i) (VWord now),
      if word_eqb now w then (m, go a (ANN_WITHDRAW q (sealed w)))
      else (m, go a (ANN_STATE q)))
  (* closing *)
  | NOTE_CLOSED =>
    let bits := (if closing m then 1 else 0) + (if closed_ m then 2 else 0) in
    let now := (if closing m then 1 else 0) + 2 in
    Some (Or SEAL_NOTE ClosedWord (VNum bits) (VNum now),
      (set_closed m false true, refuse a Closed))
  | ASK_CLOSE =>
    let bits := (if closing m then 1 else 0) + (if closed_ m then 2 else 0) in
    let now := 1 + (if closed_ m then 2 else 0) in
    Some (Or SEAL_ASK ClosedWord (VNum bits) (VNum now),
      (set_closed m true false,
       go a (if closed_ m then DONE Sealed else SEAL_FROM SEAL_CALL)))
  | SEAL_FROM k =>
    let h := hint_of m PUSH in
    Some (Load LOOK_HINT (Hint PUSH) (VNum h), (m, go a (SEAL_WALK k h)))
  | SEAL_WALK k p =>
    let w := slot_at m (index p) in
    Some (Load LOOK_SLOT (Slot (index p)) (VWord w),
      if phase w <=? base PUSH p then (m, go a (SEAL_SEE k p))
      else match after PUSH p w with
           | Some next => (m, go a (SEAL_WALK k (Nat.max next p)))
           | None => (m, a)
           end)
  | SEAL_SEE k p =>
    let w := slot_at m (index p) in
    Some (Load SEAL_LOOK (Slot (index p)) (VWord w),
      if base PUSH p <? phase w then (m, go a (SEAL_FROM k))
      else if sealed w then (m, go a (SEAL_TELL k))
      else if who w =? 0 then (m, go a (SEAL_CAS k p w))
      else (m, go a (RES_STATE (AT_SEAL k p w) (index p) w)))
  | SEAL_CAS k p w =>
    let now := slot_at m (index p) in
    let x := plain w in
    let new := W (phase x) true (seq x) (who x) (popped x) (len x) (cell x) in
    let done := word_eqb now w in
    Some (Cas SEAL_MARK (Slot (index p)) (VWord now) (VWord new) done,
      if done then (set_slot m (index p) new, go a (SEAL_TELL k)) else (m, go a (SEAL_FROM k)))
  | SEAL_TELL k =>
    let bits := (if closing m then 1 else 0) + (if closed_ m then 2 else 0) in
    let now := (if closing m then 1 else 0) + 2 in
    Some (Or SEAL_NOTE ClosedWord (VNum bits) (VNum now),
      let m := set_closed m false true in
      match k with
      | SEAL_CALL => (m, go a (DONE Sealed))
      | SEAL_MORE => (m, go a NOTE_CLOSED)
      | SEAL_ANNOUNCED q => (m, go a (ANN_WITHDRAW q true))
      end)
  end.

(** A call begins. *)
Definition begin (m : shared) (a : actor) (o : op) : shared * actor :=
  let a := set_own a 0 in
  let b vs w c := {| values := vs; wanted := w; pushed_n := 0; popped_vs := []; copies := c |} in
  match o with
  | Push v => (m, go (set_job a (b [v] 0 false)) (CLAIM_LOOK v))
  | PushRun vs => next_run m (set_job a (b (firstn (capacity g) vs) 0 true))
  | Pop => (m, go (set_job a (b [] 1 false)) (POP_LOOK 1))
  | PopRun n => next_run m (set_job a (b [] n true))
  | Close => (m, go (set_job a batch0) ASK_CLOSE)
  end.

(** A participant that has just sat down; the ring is new. *)
Definition actor0 (s : side) (p : nat) : actor :=
  {| who_side := s; me := p; position := 0;
     spare := slots_n g + num s * turns g + p;
     limit := 0; room := 0; armed := patience g =? 0; took := SINGLE; seen := 0; sequence := 0;
     aside := []; job := batch0; at_ := IDLE; own := 0 |}.

Definition shared0 : shared :=
  {| slots := map (fun i => W 0 false 0 0 0 0 i) (List.seq 0 (slots_n g));
     hint_push := 0; hint_pop := 0; closing := false; closed_ := false;
     announced_push := repeat 0 (turns g); announced_pop := repeat 0 (turns g);
     entries_push := repeat (entry0, entry0) (turns g);
     entries_pop := repeat (entry0, entry0) (turns g);
     cells := repeat payload0 (slots_n g + 2 * turns g) |}.

End Ring.
