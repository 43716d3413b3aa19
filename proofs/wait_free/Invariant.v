(** What holds in every state of the exchange ring, as functions that can be
    evaluated: the invariants I1 to I8 of [src/strategy/wait_free.rs], and that
    each call has its effect on a plain bounded queue at the step that the table
    of linearization points names.

    [ghost] is what an observer writes down: that queue, how far each side is,
    and for each slot which operation its claim is for (in full, not modulo 4)
    and whether it has been decided there. No step depends on it.

    [follow] checks one step and answers the observer's next note, or the name of
    what is broken; [broken] checks a state. Both are evaluated in every explored
    and every replayed state. *)

From Coq Require Import List Arith Bool.
Import ListNotations.
From Turtle.wait_free Require Import Model.

Inductive fault :=
| I1_POSITION | I1_HINT | I2_PHASE | I3_CELLS | I4_CLAIMS | I4_PLACE | I5_DEAD | I6_SEQUENCE
| I7_REUSE | I8_ROOM
| NOT_AT_FRONT | OVER_CAPACITY | NOT_FULL | NOT_EMPTY | NOT_CLOSED | AFTER_SEAL
| WRONG_ELEMENTS | WRONG_ANSWER | TWICE.

Record ghost := {
  queue : list nat;
  front_push : nat; front_pop : nat;      (* the first position that is not done *)
  claims : list nat;                      (* of each slot: the sequence of its claim *)
  decided : list bool;                    (* and whether it was decided *)
  due : list (list nat);                  (* of each participant: popped, not yet answered *)
  count : list nat;                       (* pushed, not yet answered *)
  is_sealed : bool
}.

Section Ring.
Variable g : geometry.
(** Participants, producers first: number of (side, place). *)
Variable producers : nat.
Definition index_of (s : side) (p : nat) : nat := match s with PUSH => p | POP => producers + p end.

Definition front_of (x : ghost) (s : side) : nat :=
  match s with PUSH => front_push x | POP => front_pop x end.

Definition side_of (ph : nat) : side := if odd ph then POP else PUSH.

(** Takes [vs] from the queue. *)
Fixpoint take_off (q vs : list nat) : option (list nat) :=
  match vs, q with
  | [], _ => Some q
  | v :: vs, w :: q => if v =? w then take_off q vs else None
  | _, [] => None
  end.

Definition pushes (x : ghost) (i : nat) (p : nat) (vs : list nat) : ghost + fault :=
  if is_sealed x then inr AFTER_SEAL
  else if negb (p =? front_push x) then inr NOT_AT_FRONT
  else if capacity g <? length (queue x) + length vs then inr OVER_CAPACITY
  else inl {| queue := queue x ++ vs; front_push := front_push x + length vs;
              front_pop := front_pop x; claims := claims x; decided := decided x; due := due x;
              count := put (count x) i (nth i (count x) 0 + length vs);
              is_sealed := false |}.

(** Pops [vs]; the side goes on by [by_] positions. *)
Definition pops (x : ghost) (i : nat) (p : nat) (vs : list nat) (by_ : nat) : ghost + fault :=
  if negb (p =? front_pop x) then inr NOT_AT_FRONT
  else match take_off (queue x) vs with
       | None => inr WRONG_ELEMENTS
       | Some q =>
         inl {| queue := q; front_push := front_push x; front_pop := front_pop x + by_;
                claims := claims x; decided := decided x;
                due := put (due x) i (nth i (due x) [] ++ vs); count := count x;
                is_sealed := is_sealed x |}
       end.

Definition claimed (x : ghost) (j q : nat) (d : bool) : ghost :=
  {| queue := queue x; front_push := front_push x; front_pop := front_pop x;
     claims := put (claims x) j q; decided := put (decided x) j d; due := due x;
     count := count x; is_sealed := is_sealed x |}.
Definition sealing (x : ghost) : ghost :=
  {| queue := queue x; front_push := front_push x; front_pop := front_pop x;
     claims := claims x; decided := decided x; due := due x; count := count x;
     is_sealed := true |}.
Definition answered (x : ghost) (i : nat) : ghost :=
  {| queue := queue x; front_push := front_push x; front_pop := front_pop x;
     claims := claims x; decided := decided x; due := put (due x) i []; count := put (count x) i 0;
     is_sealed := is_sealed x |}.

(** The elements of a cell that is pushed with this word. *)
Definition elements (m : shared) (w : word) : list nat :=
  let x := cell_at m (cell w) in
  if len w =? 0 then [one x] else firstn (length_of w) (many x).

Definition grows (was now : word) : bool :=
  (phase was <? phase now)
  || ((phase was =? phase now)
      && ((popped was <? popped now)
          || ((popped was =? popped now) && negb (word_eqb was now)
              (* a claim over a word, or the mark of the seal *)
              && (negb (who now =? 0) || (negb (sealed was) && sealed now))))).

(** Checks the step [act] that [a] has made: [m] is before it. [q] is the full
    sequence of the operation that a claim is made for. *)
Definition follow (m : shared) (a : actor) (x : ghost) (act : access) : ghost + fault :=
  let i := index_of (who_side a) (me a) in
  let slot_grows was now := if grows was now then None else Some I2_PHASE in
  match act with
  | Cas DECIDE (Slot j) (VWord was) (VWord now) true =>
    if negb (grows was now) then inr I2_PHASE else
    match who_side a with
    | PUSH =>
      if odd (phase was) then inr I8_ROOM
      else pushes x i (position a) (elements m now)
    | POP => pops x i (position a) (front m was (left_of was)) (length_of was)
    end
  | Cas TAKE_PART (Slot j) (VWord was) (VWord now) true =>
    if negb (grows was now) then inr I2_PHASE
    else pops x i (position a) (front m was (popped now - popped was)) 0
  | Cas CLAIM (Slot j) (VWord was) (VWord now) true =>
    if negb (grows was now) then inr I2_PHASE
    else if match who_side a with PUSH => odd (phase was) | POP => false end then inr I8_ROOM
    else match at_ a with
         | CLAIM_IT _ _ _ q => inl (claimed x j q false)
         | _ => inr I4_CLAIMS
         end
  | Cas CONFIRM _ (VState was) (VState now) true =>
    match at_ a with
    | RES_CONFIRM _ j c _ =>
      let s := side_of (phase c) in
      let p := who c - 1 in
      if negb (word_eqb (slot_at m j) c) then inr I4_CLAIMS
      else if nth j (decided x) false then inr TWICE
      else
        let x := claimed x j (nth j (claims x) 0) true in
        let at_front := match s with PUSH => front_push x | POP => front_pop x end in
        if negb ((index g at_front =? j) && (base g s at_front =? phase c)) then inr NOT_AT_FRONT
        else match s with
             | PUSH =>
               let given := gives (entry_of m PUSH p (seq c)) in
               pushes x (index_of PUSH p) at_front [one (cell_at m given)]
             | POP =>
               pops x (index_of POP p) at_front (front m c 1)
                 (if left_of c =? 1 then length_of c else 0)
             end
    | _ => inr I4_CLAIMS
    end
  | Cas COMPLETE (Slot j) (VWord was) (VWord now) true =>
    if negb (grows was now) then inr I2_PHASE
    else if negb (nth j (decided x) false) then inr I5_DEAD
    else inl (claimed x j 0 false)
  | Cas SEAL_MARK (Slot j) (VWord was) (VWord now) true =>
    if negb ((index g (front_push x) =? j) && (phase was <=? base g PUSH (front_push x)))
    then inr NOT_AT_FRONT
    else inl (sealing x)
  | Load BLOCK_LOOK (Slot j) (VWord now) =>
    match at_ a with
    | STILL_LOOK _ _ w =>
      if word_eqb now w && negb (length (queue x) =? capacity g) then inr NOT_FULL else inl x
    | EMPTY_LOOK _ _ w | ANN_EMPTY_LOOK _ w =>
      if word_eqb now w && negb (length (queue x) =? 0) then inr NOT_EMPTY else inl x
    | _ => inl x
    end
  | Load SLOT_LOOK _ (VWord now) =>
    (* Who finds the mark at its own position is refused. *)
    if sealed now && negb (is_done g a now) && (who now =? 0)
       && match who_side a with PUSH => true | POP => is_behind g a now end then
      if negb (is_sealed x) then inr NOT_CLOSED
      else match who_side a with
           | PUSH => inl x
           | POP => if length (queue x) =? 0 then inl x else inr NOT_CLOSED
           end
    else inl x
  | _ => inl x
  end.

(** The answer of a call. *)
Definition answers (a : actor) (x : ghost) (r : result) : ghost + fault :=
  let i := index_of (who_side a) (me a) in
  let vs := nth i (due x) [] in
  let n := nth i (count x) 0 in
  match r with
  | Pushed k => if k =? n then inl (answered x i) else inr WRONG_ANSWER
  | Popped l =>
    if (length l =? length vs) && forallb (fun p => fst p =? snd p) (combine l vs)
    then inl (answered x i) else inr WRONG_ANSWER
  | Closed => if (n =? 0) && (length vs =? 0) && is_sealed x then inl x else inr WRONG_ANSWER
  | Full | Empty => if (n =? 0) && (length vs =? 0) then inl x else inr WRONG_ANSWER
  | Sealed => if is_sealed x then inl x else inr WRONG_ANSWER
  end.

(** The cell that a participant owns: where its operation is decided, and it has
    not heard of that, the one that it got. *)
Definition in_announce (x : pc) : option nat :=
  match x with
  | OPEN_ANNOUNCE q | OPEN_FENCE q | ANN_STATE q | ANN_LOOK q | ANN_CLOSING q _
  | ANN_WITHDRAW q _ | ANN_EMPTY_FENCE q _ | ANN_EMPTY_LOOK q _ => Some q
  | PENDING_1 (PEND_ANNOUNCED q _) _ _ | PENDING_2 (PEND_ANNOUNCED q _) _ _ _ _ => Some q
  | CLAIM_IT k _ _ _ | RES_STATE k _ _ | RES_SLOT k _ _ _ | RES_CONFIRM k _ _ _
  | RES_SEEN k _ _ _ | RES_CELL k _ _ | RES_COMPLETE k _ _ _ _ | TELL_PEEK k _ _
  | MOVE_PEEK (TOLD k) _ _ | MOVE_HINT (TOLD k) _ _ _ =>
    match k with
    | AT_ANNOUNCED q _ | CLAIMED_ANNOUNCED q | AT_ROOM (ROOM_ANNOUNCED q _) _ _
    | AT_SEAL (SEAL_ANNOUNCED q) _ _ => Some q
    | _ => None
    end
  | AFTER_HINT (GO_ANNOUNCED q) | ADV_HINT (GO_ANNOUNCED q) _ => Some q
  | ROOM_KNOWN (ROOM_ANNOUNCED q _) | ROOM_AT (ROOM_ANNOUNCED q _) _
  | ROOM_AFTER (ROOM_ANNOUNCED q _) _ | ROOM_PUSH (ROOM_ANNOUNCED q _) _
  | ROOM_CAS (ROOM_ANNOUNCED q _) _ _
  | STILL_FENCE (ROOM_ANNOUNCED q _) _ _ | STILL_LOOK (ROOM_ANNOUNCED q _) _ _ => Some q
  | SEAL_FROM (SEAL_ANNOUNCED q) | SEAL_WALK (SEAL_ANNOUNCED q) _ | SEAL_SEE (SEAL_ANNOUNCED q) _
  | SEAL_CAS (SEAL_ANNOUNCED q) _ _ | SEAL_TELL (SEAL_ANNOUNCED q) => Some q
  | _ => None
  end.

Definition owns (m : shared) (a : actor) : nat :=
  match in_announce (at_ a) with
  | Some q =>
    let e := state (entry_of m (who_side a) (me a) q) in
    if (eseq e =? q) && status_eqb (stat e) WHOLE then got e else spare a
  | None => spare a
  end.

(** The cell of a slot: where its claim is decided and not carried out, the one
    that is given for it. *)
Definition holds (m : shared) (x : ghost) (j : nat) : nat :=
  let w := slot_at m j in
  if negb (who w =? 0) && nth j (decided x) false then
    let s := side_of (phase w) in
    let e := entry_of m s (who w - 1) (seq w) in
    match stat (state e) with WHOLE => gives e | _ => cell w end
  else cell w.

Fixpoint distinct (l : list nat) : bool :=
  match l with
  | [] => true
  | h :: t => negb (existsb (Nat.eqb h) t) && distinct t
  end.

Definition slot_fault (m : shared) (x : ghost) (j : nat) : option fault :=
  let w := slot_at m j in
  if who w =? 0 then None
  else
    let s := side_of (phase w) in
    let e := state (entry_of m s (who w - 1) (seq w)) in
    let q := nth j (claims x) 0 in
    if nth j (decided x) false then
      if negb (eseq e =? q) then Some I7_REUSE
      else if negb (got e =? cell w) then Some I5_DEAD
      else None
    else if (eseq e mod 4 =? seq w) && negb (eseq e =? q) then Some I6_SEQUENCE
    else if (eseq e =? q) && status_eqb (stat e) PENDING
         && negb ((index g (front_of x s) =? j) && (base g s (front_of x s) =? phase w))
    then Some I4_PLACE
    else None.

(** Claims in slots for one pending operation. *)
Definition claims_of (m : shared) (x : ghost) (s : side) (p q : nat) : nat :=
  length (filter (fun j =>
    let w := slot_at m j in
    (who w =? S p) && Bool.eqb (odd (phase w)) (match s with PUSH => false | POP => true end)
    && (nth j (claims x) 0 =? q)) (List.seq 0 (slots_n g))).

Definition actor_fault (m : shared) (x : ghost) (a : actor) : option fault :=
  let s := who_side a in
  let e := state (entry_of m s (me a) (sequence a)) in
  if front_of x s <? position a then Some I1_POSITION
  else if (eseq e =? sequence a) && status_eqb (stat e) PENDING
          && (1 <? claims_of m x s (me a) (sequence a)) then Some I4_CLAIMS
  else None.

Fixpoint first_fault (l : list (option fault)) : option fault :=
  match l with
  | [] => None
  | Some f :: _ => Some f
  | None :: t => first_fault t
  end.

(** The places that nobody sits at have the cells they had at first. *)
Definition broken (m : shared) (actors : list actor) (x : ghost) : option fault :=
  if front_push x <? hint_push m then Some I1_HINT
  else if front_pop x <? hint_pop m then Some I1_HINT
  else if negb (distinct (map (owns m) actors
                          ++ map (holds m x) (List.seq 0 (slots_n g)))) then Some I3_CELLS
  else match first_fault (map (slot_fault m x) (List.seq 0 (slots_n g))) with
       | Some f => Some f
       | None => first_fault (map (actor_fault m x) actors)
       end.

Definition ghost0 (actors : nat) : ghost :=
  {| queue := []; front_push := 0; front_pop := 0;
     claims := repeat 0 (slots_n g); decided := repeat false (slots_n g);
     due := repeat [] actors; count := repeat 0 actors; is_sealed := false |}.

End Ring.
