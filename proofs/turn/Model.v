(** The turn ring of [src/strategy/turn.rs], step by step.

    [tstep] says what one thread does with one access to shared memory: which
    word, what it reads and writes, where it goes on. It is the function that
    the theorems of [Proof.v] speak about, and the one that is extracted to
    replay recorded runs of the Rust code.

    It is written once over an arithmetic of tickets and turns ([arith]) and
    used with two: [places], where a ticket is a position that never wraps, and
    the 64-bit words of [Words.v], computed as in Rust.

    Covered: pushes and pops of one element and of runs, claims that are given
    back (void slots), whoever clears them away, closing, any number of threads,
    any capacity from 1 on.

    Wider than the Rust code, so that one model serves all its ways in:
    - a call may begin again from its ticket, or look at its slot again, as
      often as it likes ([try_claim] and [claim_again] spell the first attempt
      twice; [push_run] looks twice at a slot that is not ready);
    - a run may stop looking for further slots at any one, and [still] may look
      any number of times (pacing decides in Rust);
    - the hints [LOOK_PUSH], [LOOK_POP], [LOOK_TURN] may be read at any time in
      a call, without an effect.

    Idealised: one step after the other (no memory orderings: the two fences do
    nothing here); the payload is one number, written and read as a whole by
    steps of its own ([WRITE], [READ]), which are no steps of the Rust table; a
    lease is part of one long call, see [AtomicQueue.v].

    Not modelled: [accept] of [try_take_if] (a pop that may decline an element
    before it claims it); [for_each_left] (exclusive use, when the ring is
    dropped); memory that another process spoils. *)

From Coq Require Import List NArith Bool.
Import ListNotations.
From Turtle.common Require Import Lts AtomicQueue.
Local Open Scope N_scope.

(** The steps, as named in Rust and in the order of its table. *)
Inductive step :=
| PUSH_TICKET | PUSH_TURN | PUSH_CLAIM | PUSH_PUBLISH | PUSH_VOID
| PUSH_FENCE | PUSH_POP_TICKET | PUSH_RECHECK | PUSH_RETRY
| POP_TICKET | POP_TURN | POP_CLAIM | POP_RECYCLE
| POP_FENCE | POP_PUSH_TICKET | POP_RECHECK | POP_RETRY
| SEAL_MARK
| LOOK_PUSH | LOOK_POP | LOOK_TURN.

(** What a thread does next: a step (of the slot [j], where it concerns one),
    or it moves a payload. *)
Inductive move := At (k : step) (j : N) | WRITE | READ.

Inductive phase := Free | Filled | Void.

(** Tickets, turns, and what Rust computes with them. *)
Record arith := {
  tick : Type;                           (* what [push] and [pop] hold *)
  turn : Type;                           (* what a slot's turn holds *)
  tick_eqb : tick -> tick -> bool;
  turn_eqb : turn -> turn -> bool;
  slot : tick -> N;                      (* index_of(ticket) *)
  sealed : tick -> bool;                 (* ticket & SEALED != 0 *)
  mark : tick -> tick;                   (* ticket | SEALED *)
  bare : tick -> tick;                   (* ticket & !SEALED *)
  next : tick -> nat -> tick;            (* next(ticket, n) *)
  lap_on : tick -> tick;                 (* lap_on(ticket) *)
  lap_behind : tick -> turn -> bool;     (* lap_behind(ticket, turn) *)
  go : tick -> phase -> turn             (* ticket + phase *)
}.

Section Ring.
Variable A : arith.
Notation tick := (tick A).
Notation turn := (turn A).

(** Where a thread is. [cs]: what a push asks for; [n]: how many a pop asks for;
    [t], [h]: its ticket; [k]: slots from there on that it has seen ready; [x]:
    the turn it has seen. *)
Inductive pc :=
| Idle
(* push *)
| PTicket (cs : list cell)
| PTurn (cs : list cell) (t : tick) (k : nat)
| PShut (cs : list cell)                             (* the ticket was sealed *)
| PStale (cs : list cell) (t : tick) (x : turn)      (* push_blocked *)
| PFenced (cs : list cell) (t : tick) (x : turn)
| POldest (cs : list cell) (t : tick) (x : turn) (h : tick)   (* clear_void *)
| PSweep (cs : list cell) (t h : tick)
| PSwept (cs : list cell) (t h : tick)
| PCheck (cs : list cell) (t : tick) (x : turn)      (* still *)
| PStill (cs : list cell) (t : tick) (x : turn)
| PMoved (cs : list cell)
| PHold (t : tick) (todo : list cell) (n : nat)      (* slots claimed, from [t] on *)
| PWritten (t : tick) (todo : list cell) (n : nat)   (* payload of [t] written *)
(* pop *)
| CTicket (n : nat)
| CTurn (n : nat) (h : tick) (k : nat)
| CStale (n : nat) (h : tick) (x : turn)             (* pop_blocked *)
| CFenced (n : nat) (h : tick) (x : turn)
| CSwept (n : nat) (h : tick)
| CCheck (n : nat) (h : tick) (x : turn)
| CStill (n : nat) (h : tick) (x : turn)
| CMoved (n : nat)
| CHold (h : tick) (k : nat) (got : list val)        (* [k] more slots claimed, from [h] on *)
| CRead (h : tick) (v : val) (k : nat) (got : list val)
(* the others *)
| SMark
| Looking
| Fin (r : res).

Record mem := {
  push : tick;
  pop : tick;
  turns : N -> turn;       (* by slot *)
  payloads : N -> val
}.

(** An access: the word, what it held, what it holds afterwards. *)
Inductive acc :=
| LoadPush (seen : tick)
| LoadPop (seen : tick)
| LoadTurn (j : N) (seen : turn)
| CasPush (done : bool) (seen new : tick)
| CasPop (done : bool) (seen new : tick)
| OrPush (seen new : tick)
| StoreTurn (j : N) (new : turn)
| LoadPayload (j : N) (seen : val)
| StorePayload (j : N) (new : val)
| Fence.

Definition apply (a : acc) (m : mem) : mem :=
  match a with
  | CasPush true _ new | OrPush _ new =>
      {| push := new; pop := pop m; turns := turns m; payloads := payloads m |}
  | CasPop true _ new =>
      {| push := push m; pop := new; turns := turns m; payloads := payloads m |}
  | StoreTurn j new =>
      {| push := push m; pop := pop m; turns := upd (turns m) j new; payloads := payloads m |}
  | StorePayload j new =>
      {| push := push m; pop := pop m; turns := turns m; payloads := upd (payloads m) j new |}
  | _ => m
  end.

(** Claimed slots that are still to be passed on; with the last one, the answer. *)
Definition holding (t : tick) (todo : list cell) (n : nat) : pc :=
  match todo with [] => Fin (Pushed n) | _ => PHold t todo n end.
Definition taking (h : tick) (k : nat) (got : list val) : pc :=
  match k with O => Fin (Popped got) | S _ => CHold h k got end.

(** The slot of [t] seen at [x]: the push's turn or not. *)
Definition push_saw (cs : list cell) (t : tick) (x : turn) : pc :=
  if turn_eqb A x (go A t Free) then PTurn cs t 1
  else if sealed A t then PShut cs       (* if ticket & SEALED != 0: Closed *)
  else PStale cs t x.
Definition pop_saw (n : nat) (h : tick) (x : turn) : pc :=
  if turn_eqb A x (go A h Filled) then CTurn n h 1 else CStale n h x.

Definition push_ticket (m : mem) (cs : list cell) : option (acc * pc) :=
  Some (LoadPush (push m), PTurn cs (push m) 0).
Definition push_look (m : mem) (cs : list cell) (t : tick) (j : N) : option (acc * pc) :=
  if j =? slot A t then let x := turns m j in Some (LoadTurn j x, push_saw cs t x) else None.
Definition pop_ticket (m : mem) (n : nat) : option (acc * pc) :=
  Some (LoadPop (pop m), CTurn n (pop m) 0).
Definition pop_look (m : mem) (n : nat) (h : tick) (j : N) : option (acc * pc) :=
  if j =? slot A h then let x := turns m j in Some (LoadTurn j x, pop_saw n h x) else None.

(** One step of a push; [None]: the Rust code cannot do that here. *)
Definition push_step (m : mem) (p : pc) (k : step) (j : N) : option (acc * pc) :=
  match p, k with
  (* let ticket = header.push.load(PUSH_TICKET) *)
  | PTicket cs, PUSH_TICKET | PTurn cs _ _, PUSH_TICKET
  | PShut cs, PUSH_TICKET | PStale cs _ _, PUSH_TICKET => push_ticket m cs
  (* head.turn.load(PUSH_TURN) != ticket *)
  | PTurn cs t O, PUSH_TURN | PStale cs t _, PUSH_TURN => push_look m cs t j
  (* stretch: head.turn.load(order) != ticket + found *)
  | PTurn cs t (S _ as n), PUSH_TURN =>
      if j =? slot A t then push_look m cs t j
      else if (j =? slot A (next A t n)) && Nat.ltb n (length cs) then
        let x := turns m j in
        Some (LoadTurn j x,
          if turn_eqb A x (go A (next A t n) Free) then PTurn cs t (S n) else PTurn cs t n)
      else None
  (* header.push.compare_exchange(ticket, next, PUSH_CLAIM) *)
  | PTurn cs t (S _ as n), PUSH_CLAIM =>
      if tick_eqb A (push m) t then
        Some (CasPush true t (next A t n),
              PHold t (firstn n cs) (elements (firstn n cs)))
      else Some (CasPush false (push m) (next A t n), PTurn cs (push m) 0)
  (* push_blocked: if behind { fence(PUSH_FENCE) *)
  | PStale cs t x, PUSH_FENCE => if lap_behind A t x then Some (Fence, PFenced cs t x) else None
  (* let pop = header.pop.load(PUSH_POP_TICKET); if lap_on(pop) == ticket *)
  | PFenced cs t x, PUSH_POP_TICKET =>
      Some (LoadPop (pop m),
        if tick_eqb A (lap_on A (pop m)) t then POldest cs t x (pop m) else PCheck cs t x)
  (* clear_void: let turn = head.turn.load(POP_TURN); if turn != pop + VOID: turn != seen *)
  | POldest cs t x h, POP_TURN =>
      if j =? slot A h then
        let y := turns m j in
        Some (LoadTurn j y,
          if turn_eqb A y (go A h Void) then PSweep cs t h
          else if turn_eqb A y x then Fin Full else PTurn cs t 0)
      else None
  (* pop.compare_exchange(pop, next(pop, 1), POP_CLAIM) *)
  | PSweep cs t h, POP_CLAIM =>
      if tick_eqb A (pop m) h then Some (CasPop true h (next A h 1), PSwept cs t h)
      else Some (CasPop false (pop m) (next A h 1), PTurn cs t 0)
  (* head.turn.store(lap_on(pop), POP_RECYCLE) *)
  | PSwept cs t h, POP_RECYCLE =>
      if j =? slot A h then Some (StoreTurn j (go A (lap_on A h) Free), PTurn cs t 0) else None
  (* still: head.turn.load(PUSH_RECHECK) == seen *)
  | PCheck cs t x, PUSH_RECHECK | PStill cs t x, PUSH_RECHECK =>
      if j =? slot A t then
        let y := turns m j in
        Some (LoadTurn j y, if turn_eqb A y x then PStill cs t x else PMoved cs)
      else None
  (* let now = header.push.load(PUSH_RETRY); if now == ticket { Busy } *)
  | PStill cs t _, PUSH_RETRY =>
      Some (LoadPush (push m), if tick_eqb A (push m) t then Fin Busy else PTurn cs (push m) 0)
  (* return Ok(header.push.load(PUSH_RETRY)) *)
  | PMoved cs, PUSH_RETRY => push_ticket m cs
  (* the end of push_blocked: match header.push.load(PUSH_RETRY) *)
  | PStale cs t x, PUSH_RETRY =>
      if lap_behind A t x then None
      else Some (LoadPush (push m), if tick_eqb A (push m) t then Fin Busy else PTurn cs (push m) 0)
  (* head.turn.store(ticket + FULL, PUSH_PUBLISH) *)
  | PWritten t todo n, PUSH_PUBLISH =>
      if j =? slot A t then Some (StoreTurn j (go A t Filled), holding (next A t 1) todo n) else None
  (* head.turn.store(ticket + VOID, PUSH_VOID) *)
  | PHold t (None :: todo) n, PUSH_VOID =>
      if j =? slot A t then Some (StoreTurn j (go A t Void), holding (next A t 1) todo n) else None
  | _, _ => None
  end.

(** One step of a pop. *)
Definition pop_step (m : mem) (p : pc) (k : step) (j : N) : option (acc * pc) :=
  match p, k with
  (* let ticket = header.pop.load(POP_TICKET) *)
  | CTicket n, POP_TICKET | CTurn n _ _, POP_TICKET | CStale n _ _, POP_TICKET => pop_ticket m n
  (* head.turn.load(POP_TURN) == ticket + FULL; also the first look of clear_void *)
  | CTurn n h O, POP_TURN | CStale n h _, POP_TURN => pop_look m n h j
  (* stretch *)
  | CTurn n h (S _ as i), POP_TURN =>
      if j =? slot A h then pop_look m n h j
      else if (j =? slot A (next A h i)) && Nat.ltb i n then
        let x := turns m j in
        Some (LoadTurn j x,
          if turn_eqb A x (go A (next A h i) Filled) then CTurn n h (S i) else CTurn n h i)
      else None
  (* header.pop.compare_exchange(ticket, next, POP_CLAIM) *)
  | CTurn n h (S _ as i), POP_CLAIM =>
      if tick_eqb A (pop m) h then Some (CasPop true h (next A h i), CHold h i [])
      else Some (CasPop false (pop m) (next A h i), CTurn n (pop m) 0)
  (* pop_blocked: if seen == ticket + VOID { clear_void } *)
  | CStale n h x, POP_CLAIM =>
      if turn_eqb A x (go A h Void) then
        if tick_eqb A (pop m) h then Some (CasPop true h (next A h 1), CSwept n h)
        else Some (CasPop false (pop m) (next A h 1), CMoved n)
      else None
  | CSwept n h, POP_RECYCLE =>
      if j =? slot A h then Some (StoreTurn j (go A (lap_on A h) Free), CMoved n) else None
  (* if seen == ticket || lap_behind(ticket, seen) { fence(POP_FENCE) *)
  | CStale n h x, POP_FENCE =>
      if turn_eqb A x (go A h Free) || lap_behind A h x then Some (Fence, CFenced n h x) else None
  (* let push = header.push.load(POP_PUSH_TICKET); if push & !SEALED == ticket *)
  | CFenced n h x, POP_PUSH_TICKET =>
      Some (LoadPush (push m),
        if tick_eqb A (bare A (push m)) h then Fin (if sealed A (push m) then Closed else Empty)
        else CCheck n h x)
  (* still: head.turn.load(POP_RECHECK) == seen *)
  | CCheck n h x, POP_RECHECK | CStill n h x, POP_RECHECK =>
      if j =? slot A h then
        let y := turns m j in
        Some (LoadTurn j y, if turn_eqb A y x then CStill n h x else CMoved n)
      else None
  (* let now = header.pop.load(POP_RETRY); if now == ticket { Busy } *)
  | CStill n h _, POP_RETRY =>
      Some (LoadPop (pop m), if tick_eqb A (pop m) h then Fin Busy else CTurn n (pop m) 0)
  (* return Ok(header.pop.load(POP_RETRY)) *)
  | CMoved n, POP_RETRY => pop_ticket m n
  (* the end of pop_blocked: match header.pop.load(POP_RETRY) *)
  | CStale n h x, POP_RETRY =>
      if turn_eqb A x (go A h Void) || turn_eqb A x (go A h Free) || lap_behind A h x then None
      else Some (LoadPop (pop m), if tick_eqb A (pop m) h then Fin Busy else CTurn n (pop m) 0)
  (* head.turn.store(lap_on(ticket), POP_RECYCLE) *)
  | CRead h v i got, POP_RECYCLE =>
      if j =? slot A h then
        Some (StoreTurn j (go A (lap_on A h) Free), taking (next A h 1) i (got ++ [v]))
      else None
  | _, _ => None
  end.

Definition idle (p : pc) : bool := match p with Idle => true | _ => false end.

Definition tstep (m : mem) (p : pc) (k : move) : option (acc * pc) :=
  match k with
  (* hints: at any time in a call, without an effect *)
  | At LOOK_PUSH _ => if idle p then None else Some (LoadPush (push m), p)
  | At LOOK_POP _ => if idle p then None else Some (LoadPop (pop m), p)
  | At LOOK_TURN j => if idle p then None else Some (LoadTurn j (turns m j), p)
  (* header.push.fetch_or(SEALED, SEAL_MARK) *)
  | At SEAL_MARK _ =>
      match p with SMark => Some (OrPush (push m) (mark A (push m)), Fin Sealed) | _ => None end
  | At k j => match push_step m p k j with Some r => Some r | None => pop_step m p k j end
  (* claim.write(..), taken.read(..): the payload, between claim and passing on *)
  | WRITE =>
      match p with
      | PHold t (Some v :: todo) n => Some (StorePayload (slot A t) v, PWritten t todo n)
      | _ => None
      end
  | READ =>
      match p with
      | CHold h (S i) got =>
          Some (LoadPayload (slot A h) (payloads m (slot A h)),
                CRead h (payloads m (slot A h)) i got)
      | _ => None
      end
  end.

(** Calls and answers. *)
Definition start (o : op) : pc :=
  match o with Push cs => PTicket cs | Pop n => CTicket n | Seal => SMark | Look => Looking end.

Definition answer (p : pc) : option res :=
  match p with
  | Fin r => Some r
  | PShut _ => Some Closed
  | Looking => Some Looked
  | _ => None
  end.

Record cstate := { memory : mem; pcs : tid -> pc }.

Inductive ctrans : cstate -> option ev -> cstate -> Prop :=
| c_call s p o : pcs s p = Idle -> asks o = true ->
    ctrans s (Some (Call p o)) {| memory := memory s; pcs := upd (pcs s) p (start o) |}
| c_step s p k a x : tstep (memory s) (pcs s p) k = Some (a, x) ->
    ctrans s None {| memory := apply a (memory s); pcs := upd (pcs s) p x |}
| c_ret s p r : answer (pcs s p) = Some r ->
    ctrans s (Some (Ret p r)) {| memory := memory s; pcs := upd (pcs s) p Idle |}.

(** An empty ring all of whose tickets begin at [first]; payloads hold anything. *)
Definition ring (first : tick) (at_slot : N -> tick) : lts ev :=
  {| state := cstate;
     initial := fun s => push (memory s) = first /\ pop (memory s) = first /\
       (forall j, turns (memory s) j = go A (at_slot j) Free) /\ forall p, pcs s p = Idle;
     trans := ctrans |}.
End Ring.

Arguments Idle {A}. Arguments PTicket {A}. Arguments PTurn {A}. Arguments PShut {A}.
Arguments PStale {A}. Arguments PFenced {A}. Arguments POldest {A}. Arguments PSweep {A}.
Arguments PSwept {A}. Arguments PCheck {A}. Arguments PStill {A}. Arguments PMoved {A}.
Arguments PHold {A}. Arguments PWritten {A}. Arguments CTicket {A}. Arguments CTurn {A}.
Arguments CStale {A}. Arguments CFenced {A}. Arguments CSwept {A}. Arguments CCheck {A}.
Arguments CStill {A}. Arguments CMoved {A}. Arguments CHold {A}. Arguments CRead {A}.
Arguments SMark {A}. Arguments Looking {A}. Arguments Fin {A}.
Arguments LoadPush {A}. Arguments LoadPop {A}. Arguments LoadTurn {A}. Arguments CasPush {A}.
Arguments CasPop {A}. Arguments OrPush {A}. Arguments StoreTurn {A}. Arguments LoadPayload {A}.
Arguments StorePayload {A}. Arguments Fence {A}.
Arguments push {A}. Arguments pop {A}. Arguments turns {A}. Arguments payloads {A}.
Arguments apply {A}. Arguments memory {A}. Arguments pcs {A}.

(** * Positions: tickets that never wrap

    A ticket is a position (how many places were pushed, or popped, before) and
    the sealed mark; slot [i mod c] is the one of position [i]. *)

Definition phase_eqb (x y : phase) : bool :=
  match x, y with Free, Free | Filled, Filled | Void, Void => true | _, _ => false end.

Definition place : Type := bool * N.
Definition place_eqb (x y : place) : bool := Bool.eqb (fst x) (fst y) && (snd x =? snd y).

Definition places (c : N) : arith := {|
  tick := place;
  turn := place * phase;
  tick_eqb := place_eqb;
  turn_eqb := fun x y => place_eqb (fst x) (fst y) && phase_eqb (snd x) (snd y);
  slot := fun t => snd t mod c;
  sealed := fst;
  mark := fun t => (true, snd t);
  bare := fun t => (false, snd t);
  next := fun t n => (false, snd t + N.of_nat n);
  lap_on := fun t => (false, snd t + c);
  lap_behind := fun t x => snd (fst x) + c =? snd t;
  go := fun t ph => (t, ph)
|}.

(** The turn ring of capacity [c]. *)
Definition turn_ring (c : N) : lts ev := ring (places c) (false, 0) (fun j => (false, j)).
