(** The ring of one producer and one consumer, [src/strategy/spsc.rs], step by step.

    [tstep] says what a thread does with one access to shared memory: which word, what it reads and writes,
    and where it goes on. The theorems of [Proof.v] speak about this function, and recorded runs of the Rust
    code may be compared with it: an access says what was read and written, as Rust stores it ([value]).

    Covered: private copies of the other side's position, pushes and pops of one element and of runs,
    publication of a long run piece by piece, the straight way, pacing, closing by anyone with its bits and
    its barrier, handles that change hands. Any capacity from 1 on.

    Wider than the Rust code, so that one model serves all its ways in:
    - pacing: a side that sees little may look again, 8 times at most; when it does is not said (in Rust a
      private hint decides);
    - a push of one element may write its payload before it enters (as [try_push]) or after (as [push_run]);
    - a piece of a run may be published whenever [d] elements or more are not ([push_run] does so at once,
      [push_copies] at the end of what it copied as a block);
    - an observer may read anything, and ask for fences, at any time.

    Idealised:
    - one step after the other: no memory orderings. So the fences and the asymmetric barrier do nothing here
      (the barrier is no step at all). What they are for in closing is in [Barrier.v];
    - positions are numbers without end; Rust's private [index] is computed, [position mod c];
    - a payload is one number, written and read as a whole by steps of its own ([WRITE], [READ]), which are
      no rows of the Rust table;
    - what a run pushes is known at its call: a source that ends early, or panics, is a shorter run;
    - a claim and a take are parts of one long call.

    Not modelled: leases known by address ([Lent]); [accept] of [try_take_if] declining; words that a hostile
    or killed process left, and so [PUSH_LEAVE] of a new producer; [for_each_left].

    One call at a time may push, and one may pop: the faces see to it, here the calls are made so. *)

From Coq Require Import List NArith Bool.
Import ListNotations.
From Turtle.common Require Import Lts AtomicQueue.
Local Open Scope N_scope.

(** The steps, as named in Rust and in the order of its table. *)
Inductive step :=
| PUSH_HEAD | PUSH_FENCE | PUSH_ENTER | PUSH_SEALED | PUSH_LEAVE | PUSH_PUBLISH
| POP_WRITTEN | POP_FENCE | POP_SEALED | POP_LAST | POP_RELEASE
| SEAL_MARK | SEAL_FENCE | SEAL_LOOK | SEAL_DONE
| FENCE_ASK
| LOOK_WRITTEN | LOOK_TAKEN | LOOK_SEALED.

(** All of them are modelled. [LOOK_WRITTEN], [LOOK_TAKEN] are hints, read without effect; so is [LOOK_SEALED]
    but for a push that finds no room, which answers [Closed] by it. *)
Definition not_modelled : list step := [].

(** What a thread does next: a step, or it moves a payload. *)
Inductive move := At (k : step) | WRITE | READ.

(** The word [sealed]. *)
Record seal := { marked : bool; passed : bool; fenced : bool; agreed : bool }.
Definition bare (x : seal) : bool := negb (marked x || passed x || fenced x || agreed x).

(** The shared words; [written] and [taken] in elements, [deciding] is the low bit of Rust's [written]. *)
Record words := {
  written : N;
  deciding : bool;
  taken : N;
  sealed : seal;
  payloads : N -> val      (* by slot *)
}.

(** A side's private state. *)
Record side := { position : N; limit : N }.

Record ring := {
  shared : words;
  producer : side;
  filling : bool;          (* the producer has decided and not yet published the last of its run *)
  consumer : side
}.

(** An access: the word, and what is read or written. *)
Inductive acc :=
| LoadWritten (n : N) (b : bool)
| StoreWritten (n : N) (b : bool)
| LoadTaken (n : N)
| StoreTaken (n : N)
| LoadSealed (x : seal)
| OrSealed (seen new : seal)
| LoadPayload (j : N) (v : val)
| StorePayload (j : N) (v : val)
| Fence.

Definition apply (a : acc) (w : words) : words :=
  match a with
  | StoreWritten n b => {| written := n; deciding := b; taken := taken w; sealed := sealed w;
                           payloads := payloads w |}
  | StoreTaken n => {| written := written w; deciding := deciding w; taken := n; sealed := sealed w;
                       payloads := payloads w |}
  | OrSealed _ x => {| written := written w; deciding := deciding w; taken := taken w; sealed := x;
                       payloads := payloads w |}
  | StorePayload j v => {| written := written w; deciding := deciding w; taken := taken w;
                           sealed := sealed w; payloads := upd (payloads w) j v |}
  | _ => w
  end.

(** The number in the word, as Rust stores it: for a load what it reads, else what it leaves there. *)
Definition bit (b : bool) (n : N) : N := if b then n else 0.
Definition sealed_value (x : seal) : N :=
  bit (marked x) 1 + bit (passed x) 2 + bit (fenced x) 4 + bit (agreed x) 8.
Definition value (a : acc) : N :=
  match a with
  | LoadWritten n b | StoreWritten n b => 2 * n + bit b 1
  | LoadTaken n | StoreTaken n => 2 * n
  | LoadSealed x | OrSealed _ x => sealed_value x
  | LoadPayload _ v | StorePayload _ v => v
  | Fence => 0
  end.

(** Where a thread is. [vs]: what a push asks for; [n]: how many a pop asks for; [again]: this is the straight
    way, which may leave and begin again on the ordinary one. *)
Inductive pc :=
| Idle
(* push *)
| PStart (vs : list val) (again : bool)
| PLooked (vs : list val) (looks : nat)              (* there is room; so many more looks *)
| PBlocked (vs : list val)                           (* push_blocked *)
| PUnsealed (vs : list val)
| PFenced (vs : list val)
| PFilled (v : val) (again : bool)                   (* claimed, and its payload written *)
| PEntered (vs : list val) (full : bool) (again : bool)  (* [full]: its payload is written *)
| PDoubt (vs : list val) (full : bool) (again : bool)    (* enter_slowly *)
| PDoubly (vs : list val) (full : bool)
| PRefused (vs : list val)
| PRun (todo : list val) (n : nat) (deferred : N)    (* decided: [n] are filled, [deferred] not published *)
(* pop *)
| CStart (n : nat) (again : bool)
| CLooked (n : nat) (looks : nat)                    (* something is there *)
| CBlocked (n : nat)                                 (* pop_blocked *)
| CFenced (n : nat)
| CSealed (n : nat) (passed : bool)
| CReading (k : nat) (got : list val)                (* [k] more to read *)
(* the others *)
| SStart | SFence | SDone | SLook
| Looking (asked : bool)
| Fin (r : res).

Section Ring.
  Variable c : N.          (* capacity *)
  Variable d : N.          (* slots of 4 KiB: a run publishes when so many are filled *)
  Variable heavy : bool.   (* whoever seals has the asymmetric barrier *)

  Definition slot (i : N) : N := i mod c.

  (** [left], [set_room], [set_ready] of the Rust code. *)
  Definition left (s : side) : N := N.min (limit s - position s) c.
  Definition set_room (s : side) (taken : N) : side :=
    {| position := position s; limit := position s + (c - N.min (position s - taken) c) |}.
  Definition set_ready (s : side) (written : N) : side :=
    {| position := position s; limit := position s + N.min (written - position s) c |}.
  Definition advance (s : side) : side := {| position := position s + 1; limit := limit s |}.

  (** An access alone, and one that changes the side's private state, too. *)
  Definition does (r : ring) (a : acc) (x : pc) : option (acc * ring * pc) :=
    Some (a, {| shared := apply a (shared r); producer := producer r; filling := filling r;
                consumer := consumer r |}, x).
  Definition does_p (r : ring) (a : acc) (s : side) (f : bool) (x : pc) : option (acc * ring * pc) :=
    Some (a, {| shared := apply a (shared r); producer := s; filling := f; consumer := consumer r |}, x).
  Definition does_c (r : ring) (a : acc) (s : side) (x : pc) : option (acc * ring * pc) :=
    Some (a, {| shared := apply a (shared r); producer := producer r; filling := filling r;
                consumer := s |}, x).

  (** How often a side looks at most while it waits for company: [LOOKS] in [pace.rs]. *)
  Definition most_looks : nat := 8.

  (** Reads the consumer's position. [blocked]: where to go on without room. *)
  Definition look_for_room (r : ring) (vs : list val) (looks : nat) (blocked : pc) : option (acc * ring * pc)
    :=
    let s := set_room (producer r) (taken (shared r)) in
    does_p r (LoadTaken (taken (shared r))) s (filling r) (if left s =? 0 then blocked else PLooked vs looks).

  (** Claimed: writes the payload now, or enters at once. *)
  Definition claimed (r : ring) (vs : list val) (again : bool) (k : move) : option (acc * ring * pc) :=
    let at_ := position (producer r) in
    match k, vs with
    | WRITE, [v] => does r (StorePayload (slot at_) v) (PFilled v again)
    | At PUSH_ENTER, _ => does r (StoreWritten at_ true) (PEntered vs false again)
    | _, _ => None
    end.

  (** Not sealed: the push will be done. *)
  Definition decided (r : ring) (vs : list val) (full : bool) : option (acc * ring * pc) :=
    let s := producer r in
    let seen := LoadSealed (sealed (shared r)) in
    if full then does_p r seen (advance s) true (PRun [] 1 0)
    else does_p r seen s true (PRun (firstn (N.to_nat (left s)) vs) 0 0).

  Definition push_step (r : ring) (x : pc) (k : move) : option (acc * ring * pc) :=
    let w := shared r in
    let at_ := position (producer r) in
    match x, k with
    (* try_claim, begin_push: if room < n { refresh_room }: header.taken.load(PUSH_HEAD) *)
    | PStart vs _, At PUSH_HEAD =>
        if left (producer r) <? len vs then look_for_room r vs most_looks (PBlocked vs) else None
    (* gather: the same load, a few more times *)
    | PLooked vs (S n), At PUSH_HEAD => look_for_room r vs n (PLooked vs n)
    (* push_blocked: header.sealed.load(LOOK_SEALED) & MARKED *)
    | PBlocked vs, At LOOK_SEALED =>
        does r (LoadSealed (sealed w)) (if marked (sealed w) then Fin Closed else PUnsealed vs)
    (* fence(PUSH_FENCE); header.taken.load(PUSH_HEAD) *)
    | PUnsealed vs, At PUSH_FENCE => does r Fence (PFenced vs)
    | PFenced vs, At PUSH_HEAD => look_for_room r vs 0 (Fin Full)
    (* claim.write(..); enter: header.written.store(position | DECIDING, PUSH_ENTER) *)
    | PStart vs again, _ => if left (producer r) <? len vs then None else claimed r vs again k
    | PLooked vs _, _ => claimed r vs false k
    | PFilled v again, At PUSH_ENTER => does r (StoreWritten at_ true) (PEntered [v] true again)
    (* header.sealed.load(PUSH_SEALED) == 0 *)
    | PEntered vs full again, At PUSH_SEALED =>
        if bare (sealed w) then decided r vs full
        else does r (LoadSealed (sealed w)) (PDoubt vs full again)
    (* push_straight: header.written.store(position, PUSH_LEAVE); return false: room is known, as before *)
    | PDoubt vs true true, At PUSH_LEAVE => does r (StoreWritten at_ false) (PLooked vs 0)
    (* enter_slowly: fence(PUSH_FENCE); header.sealed.load(PUSH_SEALED) & MARKED *)
    | PDoubt vs full _, At PUSH_FENCE => does r Fence (PDoubly vs full)
    | PDoubly vs full, At PUSH_SEALED =>
        if marked (sealed w) then does r (LoadSealed (sealed w)) (PRefused vs) else decided r vs full
    (* header.written.store(side.position, PUSH_LEAVE) *)
    | PRefused vs, At PUSH_LEAVE => does r (StoreWritten at_ false) (Fin Closed)
    (* Filling: fill(..); advance *)
    | PRun (v :: todo) n deferred, WRITE =>
        does_p r (StorePayload (slot at_) v) (advance (producer r)) (filling r) (PRun todo (S n) (deferred +
          1))
    (* publish(side.position | DECIDING); at the end publish(side.position) *)
    | PRun todo n deferred, At PUSH_PUBLISH =>
        if d <=? deferred then does r (StoreWritten at_ true) (PRun todo n 0)
        else match todo with
             | [] => does_p r (StoreWritten at_ false) (producer r) false (Fin (Pushed n))
             | _ => None
             end
    | _, _ => None
    end.

  (** Reads the producer's position. *)
  Definition look_for_more (r : ring) (n looks : nat) (a : acc) (blocked : pc) : option (acc * ring * pc) :=
    let s := set_ready (consumer r) (written (shared r)) in
    does_c r a s (if left s =? 0 then blocked else CLooked n looks).

  Definition reads (r : ring) (k : nat) (got : list val) : option (acc * ring * pc) :=
    let j := slot (position (consumer r)) in
    let v := payloads (shared r) j in
    does_c r (LoadPayload j v) (advance (consumer r)) (CReading k (got ++ [v])).

  Definition pop_step (r : ring) (x : pc) (k : move) : option (acc * ring * pc) :=
    let w := shared r in
    let seen := LoadWritten (written w) (deciding w) in
    match x, k with
    (* look_written: header.written.load(POP_WRITTEN); the straight way looks once more *)
    | CStart n again, At POP_WRITTEN =>
        if left (consumer r) <? N.of_nat n then
          if again then look_for_more r n (S most_looks) seen (CStart n false)
          else look_for_more r n most_looks seen (CBlocked n)
        else None
    | CLooked n (S looks), At POP_WRITTEN => look_for_more r n looks seen (CLooked n looks)
    (* pop_blocked: fence(POP_FENCE); header.sealed.load(POP_SEALED); header.written.load(POP_LAST) *)
    | CBlocked n, At POP_FENCE => does r Fence (CFenced n)
    | CFenced n, At POP_SEALED => does r (LoadSealed (sealed w)) (CSealed n (passed (sealed w)))
    | CSealed n over, At POP_LAST =>
        look_for_more r n 0 seen (Fin (if over && negb (deciding w) then Closed else Empty))
    (* lease.read(..) *)
    | CStart n _, READ =>
        if left (consumer r) <? N.of_nat n then None else reads r (pred n) []
    | CLooked n _, READ => reads r (pred (Nat.min n (N.to_nat (left (consumer r))))) []
    | CReading (S k) got, READ => reads r k got
    (* header.taken.store(position, POP_RELEASE) *)
    | CReading O got, At POP_RELEASE => does r (StoreTaken (position (consumer r))) (Fin (Popped got))
    | _, _ => None
    end.

  Definition or_sealed (r : ring) (new : seal) (x : pc) : option (acc * ring * pc) :=
    does r (OrSealed (sealed (shared r)) new) x.

  (** [seal]. Not complete, which Rust says by [false], is [Busy] here. *)
  Definition seal_step (r : ring) (x : pc) (k : move) : option (acc * ring * pc) :=
    let b := sealed (shared r) in
    match x, k with
    (* header.sealed.fetch_or(MARKED, SEAL_MARK); if was & AGREED ..; else if !heavy_barrier() *)
    | SStart, At SEAL_MARK =>
        or_sealed r {| marked := true; passed := passed b; fenced := fenced b; agreed := agreed b |}
          (if agreed b then SFence else if heavy then SDone else Fin Busy)
    | SFence, At SEAL_FENCE => does r Fence SDone
    (* header.sealed.fetch_or(PASSED, SEAL_DONE) *)
    | SDone, At SEAL_DONE =>
        or_sealed r {| marked := marked b; passed := true; fenced := fenced b; agreed := agreed b |} SLook
    (* header.written.load(SEAL_LOOK) & DECIDING == 0 *)
    | SLook, At SEAL_LOOK =>
        does r (LoadWritten (written (shared r)) (deciding (shared r)))
          (Fin (if deciding (shared r) then Busy else Sealed))
    | _, _ => None
    end.

  (** Handles, lengths, diagnosis; [do_without_barrier] asks twice. *)
  Definition look_step (r : ring) (x : pc) (k : move) : option (acc * ring * pc) :=
    let b := sealed (shared r) in
    match x, k with
    | Looking _, At LOOK_WRITTEN => does r (LoadWritten (written (shared r)) (deciding (shared r))) x
    | Looking _, At LOOK_TAKEN => does r (LoadTaken (taken (shared r))) x
    | Looking _, At LOOK_SEALED => does r (LoadSealed b) x
    | Looking false, At FENCE_ASK =>
        or_sealed r {| marked := marked b; passed := passed b; fenced := true;
          agreed := agreed b |} (Looking true)
    | Looking true, At FENCE_ASK =>
        or_sealed r {| marked := marked b; passed := passed b; fenced := fenced b;
          agreed := true |} (Looking true)
    | _, _ => None
    end.

  (** Which side a thread is on. *)
  Definition pushes (x : pc) : bool :=
    match x with
    | PStart _ _ | PLooked _ _ | PBlocked _ | PUnsealed _ | PFenced _ | PFilled _ _ | PEntered _ _ _
    | PDoubt _ _ _ | PDoubly _ _ | PRefused _ | PRun _ _ _ => true
    | _ => false
    end.
  Definition pops (x : pc) : bool :=
    match x with
    | CStart _ _ | CLooked _ _ | CBlocked _ | CFenced _ | CSealed _ _ | CReading _ _ => true
    | _ => false
    end.
  Definition seals (x : pc) : bool := match x with SStart | SFence | SDone | SLook => true | _ => false end.

  Definition tstep (r : ring) (x : pc) (k : move) : option (acc * ring * pc) :=
    if pushes x then push_step r x k
    else if pops x then pop_step r x k
    else if seals x then seal_step r x k
    else look_step r x k.

  (** Calls and answers. *)
  Record cstate := { the_ring : ring; pcs : tid -> pc }.

  Definition answer (x : pc) : option res :=
    match x with Fin r => Some r | Looking _ => Some Looked | _ => None end.

  (** What a new handle knows: its own position, and nothing of the other side. *)
  Definition fresh (at_ : N) : side := {| position := at_; limit := at_ |}.
  Definition new_producer (r : ring) : ring :=
    {| shared := shared r; producer := fresh (written (shared r)); filling := filling r;
       consumer := consumer r |}.
  Definition new_consumer (r : ring) : ring :=
    {| shared := shared r; producer := producer r; filling := filling r;
       consumer := fresh (taken (shared r)) |}.

  Inductive ctrans : cstate -> option ev -> cstate -> Prop :=
  | c_push s p vs again : pcs s p = Idle -> vs <> [] -> (forall q, pushes (pcs s q) = false) ->
      (again = true -> length vs = 1%nat) ->
      ctrans s (Some (Call p (Push (map Some vs))))
        {| the_ring := the_ring s; pcs := upd (pcs s) p (PStart vs again) |}
  | c_pop s p n again : pcs s p = Idle -> n <> O -> (forall q, pops (pcs s q) = false) ->
      (again = true -> n = 1%nat) ->
      ctrans s (Some (Call p (Pop n))) {| the_ring := the_ring s; pcs := upd (pcs s) p (CStart n again) |}
  | c_seal s p : pcs s p = Idle ->
      ctrans s (Some (Call p Seal)) {| the_ring := the_ring s; pcs := upd (pcs s) p SStart |}
  | c_look s p : pcs s p = Idle ->
      ctrans s (Some (Call p Look)) {| the_ring := the_ring s; pcs := upd (pcs s) p (Looking false) |}
  | c_step s p k a r x : tstep (the_ring s) (pcs s p) k = Some (a, r, x) ->
      ctrans s None {| the_ring := r; pcs := upd (pcs s) p x |}
  (* new_producer, new_consumer: after LOOK_WRITTEN, LOOK_TAKEN, while the side has no owner *)
  | c_new_producer s p b : pcs s p = Looking b -> (forall q, pushes (pcs s q) = false) ->
      ctrans s None {| the_ring := new_producer (the_ring s); pcs := pcs s |}
  | c_new_consumer s p b : pcs s p = Looking b -> (forall q, pops (pcs s q) = false) ->
      ctrans s None {| the_ring := new_consumer (the_ring s); pcs := pcs s |}
  | c_ret s p r : answer (pcs s p) = Some r ->
      ctrans s (Some (Ret p r)) {| the_ring := the_ring s; pcs := upd (pcs s) p Idle |}.

  (** An empty ring. Payloads hold anything; producers may be asked to fence from the beginning. *)
  Definition cinit (s : cstate) : Prop :=
    written (shared (the_ring s)) = 0 /\ deciding (shared (the_ring s)) = false /\
    taken (shared (the_ring s)) = 0 /\ marked (sealed (shared (the_ring s))) = false /\
    passed (sealed (shared (the_ring s))) = false /\
    producer (the_ring s) = fresh 0 /\ consumer (the_ring s) = fresh 0 /\ filling (the_ring s) = false /\
    forall p, pcs s p = Idle.

  Definition spsc_ring : lts ev := {| state := cstate; initial := cinit; trans := ctrans |}.
End Ring.
