(** The bounded FIFO queue that all engines are compared with.

    [atomic_queue c] is the canonical automaton: a call is made, at one later
    instant it takes effect on a plain list, then it returns. Linearizable to
    this queue means, here, that every history of the engine is a history of
    this automaton ([refines]).

    What the answers say, each at the instant of the effect:
    - [Pushed], [Popped]: a run of at least one place, at once, in order. How
      many of the places asked for is the engine's choice: "up to n".
    - [Full]: not closed, and as many places are taken as there are.
    - [Empty]: not closed, and nothing is inside.
    - [Closed]: a push is told so if and only if the queue is closed; a pop,
      if besides nothing is inside.
    - [Busy]: another call is halfway: of the other side it has taken effect
      and has not returned, or it is clearing a void place away.

    A place may be claimed and then given back. It stays as a void: it counts
    as taken until it is the oldest and some call clears it away. Whoever never
    gives a claim back never sees one. A push says at its call what it will
    write; a claim whose value is chosen later is covered, because what the
    engine does before the value is written does not depend on it: each
    history of such a claim is one where the value was guessed rightly.

    Idealised: values are numbers; capacity and histories have no limits. *)

From Coq Require Import List NArith Lia.
Import ListNotations.
From Turtle.common Require Import Lts.
Local Open Scope N_scope.

Definition tid := N.
Definition val := N.

(** One place: an element, or a claim that was (will be) given back. *)
Notation cell := (option val).

Inductive op :=
| Push (cs : list cell)  (** up to all of these, in this order *)
| Pop (n : nat)          (** up to n *)
| Seal                   (** close *)
| Look.                  (** lengths, statistics: no promise *)

Inductive res :=
| Pushed (n : nat)       (** so many elements are in *)
| Popped (vs : list val)
| Full | Empty | Busy | Closed | Sealed | Looked.

Inductive ev := Call (p : tid) (o : op) | Ret (p : tid) (r : res).

(** The everyday calls. *)
Definition push1 (v : val) : op := Push [Some v].
Definition pop1 : op := Pop 1.

(** A call asks for at least one place. *)
Definition asks (o : op) : bool :=
  match o with Push [] => false | Pop O => false | _ => true end.

Definition len {A} (l : list A) : N := N.of_nat (length l).

(** How many elements there are among these places. *)
Fixpoint elements (cs : list cell) : nat :=
  match cs with
  | [] => O
  | Some _ :: r => S (elements r)
  | None :: r => elements r
  end.

(** Where a thread is: outside, called, clearing a void away, or done with the
    effect and not yet returned. *)
Inductive stat :=
| Outside
| Called (o : op)
| Sweeping (o : op)
| Done (r : res).

Record astate := { items : list cell; closed : bool; status : tid -> stat }.

(** Somebody else's pop (push) has taken effect and not returned. *)
Definition taking_out (f : tid -> stat) (p : tid) : Prop :=
  exists q, q <> p /\ ((exists vs, f q = Done (Popped vs)) \/ (exists o, f q = Sweeping o)).
Definition putting_in (f : tid -> stat) (p : tid) : Prop :=
  exists q, q <> p /\ exists n, f q = Done (Pushed n).

(** The effect of thread [p]'s call: answer, places and mark afterwards. *)
Inductive effect (c : N) (s : astate) (p : tid) : op -> res -> list cell -> bool -> Prop :=
| e_pushed cs k :
    closed s = false -> (1 <= k <= length cs)%nat -> len (items s) + N.of_nat k <= c ->
    effect c s p (Push cs) (Pushed (elements (firstn k cs))) (items s ++ firstn k cs) false
| e_full cs :
    closed s = false -> len (items s) = c ->
    effect c s p (Push cs) Full (items s) false
| e_push_busy cs :
    closed s = false -> taking_out (status s) p ->
    effect c s p (Push cs) Busy (items s) false
| e_push_closed cs :
    closed s = true ->
    effect c s p (Push cs) Closed (items s) true
| e_popped n vs rest :
    items s = map Some vs ++ rest -> (1 <= length vs <= n)%nat ->
    effect c s p (Pop n) (Popped vs) rest (closed s)
| e_empty n :
    closed s = false -> items s = [] ->
    effect c s p (Pop n) Empty [] false
| e_pop_closed n :
    closed s = true -> items s = [] ->
    effect c s p (Pop n) Closed [] true
| e_pop_busy n :
    putting_in (status s) p ->
    effect c s p (Pop n) Busy (items s) (closed s)
| e_sealed :
    effect c s p Seal Sealed (items s) true
| e_looked :
    effect c s p Look Looked (items s) (closed s).

Inductive atrans (c : N) : astate -> option ev -> astate -> Prop :=
| a_call s p o : status s p = Outside -> asks o = true ->
    atrans c s (Some (Call p o))
      {| items := items s; closed := closed s; status := upd (status s) p (Called o) |}
| a_effect s p o r q b : status s p = Called o -> effect c s p o r q b ->
    atrans c s None {| items := q; closed := b; status := upd (status s) p (Done r) |}
| a_sweep s p o q : status s p = Called o -> items s = None :: q ->
    atrans c s None {| items := q; closed := closed s; status := upd (status s) p (Sweeping o) |}
| a_swept s p o : status s p = Sweeping o ->
    atrans c s None
      {| items := items s; closed := closed s; status := upd (status s) p (Called o) |}
| a_ret s p r : status s p = Done r ->
    atrans c s (Some (Ret p r))
      {| items := items s; closed := closed s; status := upd (status s) p Outside |}.

Definition ainit (s : astate) : Prop :=
  items s = [] /\ closed s = false /\ forall p, status s p = Outside.

Definition atomic_queue (c : N) : lts ev :=
  {| state := astate; initial := ainit; trans := atrans c |}.

(** The promised bound: never more places taken than there are. *)
Theorem atomic_queue_bounded c tr s0 s :
  initial (atomic_queue c) s0 -> exec (atomic_queue c) s0 tr s -> len (items s) <= c.
Proof.
  intros (I & _) X. eapply exec_invariant with (P := fun s => len (items s) <= c); [|exact X|].
  - clear. intros s l s' B T. cbn in T.
    destruct T as [| s p o r q b E F | s p o q E F | |]; cbn; auto.
    + destruct F; auto; try (unfold len; cbn; lia).
      * unfold len in *. rewrite app_length, firstn_length. lia.
      * unfold len in *. match goal with H : items s = _ |- _ => rewrite H in B end.
        rewrite app_length in B. lia.
    + unfold len in *. rewrite F in B. cbn [length] in B. lia.
  - rewrite I. unfold len. cbn. apply N.le_0_l.
Qed.
