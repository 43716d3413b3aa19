(** The ring of one producer and one consumer is linearizable.

    For any capacity from 1 on, any number of threads that take turns on the two sides, and any number of
    threads that close:
    - [spsc_late]: every history of [spsc_ring] is one of [late_queue], the bounded FIFO with long runs in
      pieces and late closing ([LateQueue.v] says what that means);
    - [spsc_linearizable]: without closing, and without runs longer than a piece (4 KiB of slots), it is one
      of [atomic_queue], in which every call takes effect at once;
    - [spsc_herlihy_wing]: and so it is linearizable in the sense of Herlihy and Wing.
    - [spsc_closed_for_good]: once a pop has been told [Closed], no call that is made later moves an element;
    - [spsc_sealed_refuses]: once a seal has been answered, complete or not, a push that is made later is
      refused (where sealers have the barrier).
    [Full] and [Empty] are exact in all of them, and no push or pop is ever answered [Busy].

    And in any schedule, whatever the others do and wherever they stop ([spsc_wait_free], [never_stuck]):
    - a push of [k] elements ends within [13 + k / d] accesses to shared words of its own ([d]: slots of 4
      KiB), a pop within 10, or 11 by the straight way, a seal within 3. The Rust documentation counts 14 and
      11: its face adds one, which sees whether somebody sleeps.

    How: [Inv] is the invariant (I1 to I4 of the Rust module, and what each thread knows), [X_inv] says that
    step [X] keeps it, [X_lin] what step [X] does to the queue:

    - pushed: [PUSH_PUBLISH], each piece at its own; popped: [POP_RELEASE];
    - [Full]: [LOOK_SEALED], where the ring is not marked; it is full there if the [PUSH_HEAD] that follows
      finds it full;
    - [Empty]: [POP_SEALED], where closing is not complete, if [POP_LAST] will find nothing; or [POP_LAST], if
      closing is complete and a push is deciding;
    - [Closed] of a push: [LOOK_SEALED], or [PUSH_LEAVE] (marked since [PUSH_SEALED]); of a pop: [POP_LAST];
    - the gate: [SEAL_MARK] and [SEAL_DONE], or the [PUSH_PUBLISH] that they had to wait for.

    Two of these are decided by a later look. So the simulation carries a guess at what it will find
    ([foresight_refines] of [SetSimulation.v]).

    Idealised: see [Model.v]. Above all, steps happen one after the other, so nothing here shows that the
    fences and the barrier suffice; that [PUSH_SEALED] is ordered after [PUSH_ENTER] is taken for granted
    ([Barrier.v] shows why it is). *)
From Coq Require Import List Arith NArith Lia Bool.
Import ListNotations.
From Turtle.common Require Import Lts AtomicQueue SetSimulation HerlihyWing.
From Turtle.spsc Require Import Model LateQueue.
Local Open Scope N_scope.

Local Arguments len {A} l : simpl never.

Section Proof.
Variables c d : N.
Variable heavy : bool.
Hypothesis Hc : 1 <= c.
Hypothesis Hd : 1 <= d.

Notation slot := (slot c).
Notation tstep := (tstep c d heavy).
Notation spsc := (spsc_ring c d heavy).
Notation late := (late_queue c d heavy).

(** * Slots *)

Lemma slots_differ i j : i < j -> j < i + c -> slot i <> slot j.
Proof.
  unfold Model.slot. intros L M E.
  pose proof (N.div_mod i c ltac:(lia)) as A. pose proof (N.div_mod j c ltac:(lia)) as B.
  rewrite E in A. assert (i / c < j / c) by nia. nia.
Qed.

(** What is written from position [i] on, [n] slots. *)
Fixpoint part (f : N -> val) (i : N) (n : nat) : list val :=
  match n with O => [] | S n => f (slot i) :: part f (i + 1) n end.

Lemma part_length f i n : length (part f i n) = n.
Proof. revert i. induction n; cbn; auto. Qed.

Lemma part_app f i n m : part f i (n + m) = part f i n ++ part f (i + N.of_nat n) m.
Proof.
  revert i. induction n as [|n IH]; intros i; cbn [part Nat.add app].
  - now rewrite N.add_0_r.
  - rewrite IH. do 3 f_equal. lia.
Qed.

Lemma part_snoc f i n : part f i (S n) = part f i n ++ [f (slot (i + N.of_nat n))].
Proof. replace (S n) with (n + 1)%nat by lia. rewrite part_app. reflexivity. Qed.

Lemma part_upd f i n j v : i + N.of_nat n <= j -> j < i + c -> part (upd f (slot j) v) i n = part f i n.
Proof.
  revert i. induction n as [|n IH]; intros i A B; cbn [part]; [reflexivity|].
  rewrite upd_other by (apply slots_differ; lia). rewrite IH by lia. reflexivity.
Qed.

(** The elements inside. *)
Definition content (w : words) : list val := part (payloads w) (taken w) (N.to_nat (written w - taken w)).

(** * The invariant *)

(** A push has entered and has neither left nor published. *)
Definition entered (x : pc) : bool :=
  match x with PEntered _ _ _ | PDoubt _ _ _ | PDoubly _ _ | PRefused _ | PRun _ _ _ => true | _ => false end.

(** The producer's side when its push is not deciding; before a push and after it. *)
Definition at_rest (r : ring) : Prop :=
  position (producer r) = written (shared r) /\ filling r = false /\ deciding (shared r) = false.

(** The payload of a claim is in its slot. *)
Definition in_place (r : ring) (vs : list val) (full : bool) : Prop :=
  full = true -> exists v, vs = [v] /\ payloads (shared r) (slot (position (producer r))) = v.

(** What a push knows. *)
Definition push_ok (r : ring) (x : pc) : Prop :=
  match x with
  | PStart vs again => at_rest r /\ vs <> [] /\ (again = true -> length vs = 1%nat)
  | PLooked vs _ => at_rest r /\ vs <> [] /\ position (producer r) < limit (producer r)
  | PBlocked vs | PUnsealed vs | PFenced vs => at_rest r /\ vs <> []
  | PFilled v _ => at_rest r /\ position (producer r) < limit (producer r) /\ in_place r [v] true
  | PEntered vs full _ | PDoubt vs full _ | PDoubly vs full =>
      position (producer r) = written (shared r) /\ filling r = false /\ deciding (shared r) = true /\
      position (producer r) < limit (producer r) /\ vs <> [] /\ in_place r vs full
  | PRefused vs =>
      position (producer r) = written (shared r) /\ filling r = false /\ deciding (shared r) = true /\
        vs <> []
  | PRun todo n deferred =>
      filling r = true /\ deciding (shared r) = true /\
      position (producer r) - written (shared r) <= N.of_nat n /\
      deferred <= position (producer r) - written (shared r) /\
      position (producer r) + len todo <= limit (producer r) /\ (1 <= n + length todo)%nat
  | _ => True
  end.

(** What a pop knows. *)
Definition pop_ok (r : ring) (x : pc) : Prop :=
  match x with
  | CStart n _ => position (consumer r) = taken (shared r) /\ n <> O
  | CLooked n _ =>
      position (consumer r) = taken (shared r) /\ n <> O /\ position (consumer r) < limit (consumer r)
  | CBlocked n | CFenced n => position (consumer r) = taken (shared r) /\ n <> O
  | CSealed n over =>
      position (consumer r) = taken (shared r) /\ n <> O /\ (over = true -> passed (sealed (shared r)) = true)
  | CReading k got =>
      position (consumer r) = taken (shared r) + len got /\
      position (consumer r) + N.of_nat k <= limit (consumer r) /\
      got = part (payloads (shared r)) (taken (shared r)) (length got)
  | _ => True
  end.

Definition seal_ok (r : ring) (x : pc) : Prop :=
  match x with
  | SFence | SDone => marked (sealed (shared r)) = true
  | SLook => passed (sealed (shared r)) = true
  | PRefused _ => marked (sealed (shared r)) = true
  | _ => True
  end.

(** I1 to I4 of the Rust module, and where each thread is. *)
Record Inv (s : cstate) : Prop := {
  (* I1, I3, and the consumer's private state: nobody is ahead of what it may know *)
  inv_taken : taken (shared (the_ring s)) <= position (consumer (the_ring s));
  inv_ready : position (consumer (the_ring s)) <= limit (consumer (the_ring s));
  inv_known : limit (consumer (the_ring s)) <= written (shared (the_ring s));
  inv_written : written (shared (the_ring s)) <= position (producer (the_ring s));
  inv_room : position (producer (the_ring s)) <= limit (producer (the_ring s));
  inv_bound : limit (producer (the_ring s)) <= taken (shared (the_ring s)) + c;
  (* I4: the bits come in order, and whoever fills has been seen to decide *)
  inv_passed : passed (sealed (shared (the_ring s))) = true -> marked (sealed (shared (the_ring s))) = true;
  inv_filling : filling (the_ring s) = true -> deciding (shared (the_ring s)) = true;
  inv_deciding : deciding (shared (the_ring s)) = true -> exists p, entered (pcs s p) = true;
  (* one of each *)
  inv_producer : forall p q, pushes (pcs s p) = true -> pushes (pcs s q) = true -> p = q;
  inv_consumer : forall p q, pops (pcs s p) = true -> pops (pcs s q) = true -> p = q;
  inv_no_push : (forall p, pushes (pcs s p) = false) -> at_rest (the_ring s);
  inv_no_pop : (forall p, pops (pcs s p) = false) ->
    position (consumer (the_ring s)) = taken (shared (the_ring s));
  (* each thread *)
  inv_push : forall p, push_ok (the_ring s) (pcs s p);
  inv_pop : forall p, pop_ok (the_ring s) (pcs s p);
  inv_seal : forall p, seal_ok (the_ring s) (pcs s p)
}.

Ltac bools := repeat match goal with
  | H : (_ =? _) = true |- _ => apply N.eqb_eq in H
  | H : (_ =? _) = false |- _ => apply N.eqb_neq in H
  | H : (_ <? _) = true |- _ => apply N.ltb_lt in H
  | H : (_ <? _) = false |- _ => apply N.ltb_ge in H
  | H : (_ <=? _) = true |- _ => apply N.leb_le in H
  | H : (_ <=? _) = false |- _ => apply N.leb_gt in H
  end.

Lemma len_positive {A} (l : list A) : l <> [] -> 1 <= len l.
Proof. destruct l; [congruence|]. unfold len. cbn. lia. Qed.

Lemma len_cons {A} (x : A) l : len (x :: l) = 1 + len l.
Proof. unfold len. cbn [length]. lia. Qed.

(** Numbers of the invariant, for [lia]. *)
Ltac numbers I :=
  pose proof (inv_taken _ I); pose proof (inv_ready _ I); pose proof (inv_known _ I);
  pose proof (inv_written _ I); pose proof (inv_room _ I); pose proof (inv_bound _ I).

(** Others do not notice: what a thread of another side knows is still so. *)
Lemma push_frame r r' x :
  producer r' = producer r -> filling r' = filling r -> written (shared r') = written (shared r) ->
  deciding (shared r') = deciding (shared r) -> payloads (shared r') = payloads (shared r) ->
  push_ok r x -> push_ok r' x.
Proof.
  intros E1 E2 E3 E4 E5. destruct x; cbn; unfold at_rest, in_place; rewrite ?E1, ?E2, ?E3, ?E4, ?E5; auto.
Qed.

Lemma pop_frame r r' x :
  consumer r' = consumer r -> taken (shared r') = taken (shared r) ->
  (passed (sealed (shared r)) = true -> passed (sealed (shared r')) = true) ->
  (forall n, taken (shared r) + N.of_nat n <= limit (consumer r) ->
     part (payloads (shared r')) (taken (shared r)) n = part (payloads (shared r)) (taken (shared r)) n) ->
  pop_ok r x -> pop_ok r' x.
Proof.
  intros E1 E2 E3 E4. destruct x; cbn; rewrite ?E1, ?E2; auto; try tauto.
  intros (A & B & C). rewrite E4; [auto|]. unfold len in *. lia.
Qed.

Lemma seal_frame r r' x :
  (marked (sealed (shared r)) = true -> marked (sealed (shared r')) = true) ->
  (passed (sealed (shared r)) = true -> passed (sealed (shared r')) = true) ->
  seal_ok r x -> seal_ok r' x.
Proof. intros E1 E2. destruct x; cbn; auto. Qed.

(** A thread moves on; what remains to be seen of the invariant. *)
Lemma inv_move s p r x :
  Inv s ->
  (taken (shared r) <= position (consumer r) /\ position (consumer r) <= limit (consumer r) /\
   limit (consumer r) <= written (shared r) /\ written (shared r) <= position (producer r) /\
   position (producer r) <= limit (producer r) /\ limit (producer r) <= taken (shared r) + c) ->
  (passed (sealed (shared r)) = true -> marked (sealed (shared r)) = true) ->
  (filling r = true -> deciding (shared r) = true) ->
  (* its side: it keeps it, or leaves it in order *)
  (pushes x = true -> pushes (pcs s p) = true) -> (pops x = true -> pops (pcs s p) = true) ->
  (pushes (pcs s p) = true -> pushes x = false -> at_rest r) ->
  (pops (pcs s p) = true -> pops x = false -> position (consumer r) = taken (shared r)) ->
  (deciding (shared r) = true ->
     entered x = true \/ (deciding (shared (the_ring s)) = true /\ entered (pcs s p) = false)) ->
  push_ok r x -> pop_ok r x -> seal_ok r x ->
  (* the other sides: they do not notice *)
  (pushes (pcs s p) = false -> producer r = producer (the_ring s) /\ filling r = filling (the_ring s) /\
     written (shared r) = written (shared (the_ring s)) /\
     deciding (shared r) = deciding (shared (the_ring s)) /\
     payloads (shared r) = payloads (shared (the_ring s))) ->
  (pops (pcs s p) = false -> consumer r = consumer (the_ring s) /\
     taken (shared r) = taken (shared (the_ring s)) /\
     forall n, taken (shared r) + N.of_nat n <= limit (consumer r) ->
       part (payloads (shared r)) (taken (shared r)) n =
       part (payloads (shared (the_ring s))) (taken (shared r)) n) ->
  (marked (sealed (shared (the_ring s))) = true -> marked (sealed (shared r)) = true) ->
  (passed (sealed (shared (the_ring s))) = true -> passed (sealed (shared r)) = true) ->
  Inv {| the_ring := r; pcs := upd (pcs s) p x |}.
Proof.
  intros I (A1 & A2 & A3 & A4 & A5 & A6) Pm Fd Kp Kc Rp Rc De Op Oc Os Fp Fc Mm Mp.
  assert (pushes (pcs s p) = true \/ pushes (pcs s p) = false) as Sp by (destruct (pushes (pcs s p)); auto).
  assert (pops (pcs s p) = true \/ pops (pcs s p) = false) as Sc by (destruct (pops (pcs s p)); auto).
  constructor; cbn; auto.
  - intros Dt. destruct (De Dt) as [E|(Ds & E)]; [exists p; now rewrite upd_same|].
    destruct (inv_deciding _ I Ds) as (q & Eq). exists q.
    rewrite upd_other; [assumption|congruence].
  - intros q q'. unfold upd. destruct (N.eqb_spec q p) as [->|N], (N.eqb_spec q' p) as [->|N'];
      intros X Y; auto; apply (inv_producer _ I); auto.
  - intros q q'. unfold upd. destruct (N.eqb_spec q p) as [->|N], (N.eqb_spec q' p) as [->|N'];
      intros X Y; auto; apply (inv_consumer _ I); auto.
  - intros H. pose proof (H p) as Hp. rewrite upd_same in Hp. destruct Sp as [Sp|Sp]; [auto|].
    destruct (Fp Sp) as (E1 & E2 & E3 & E4 & _).
    assert (at_rest (the_ring s)) as R.
    { apply (inv_no_push _ I). intros q. destruct (N.eq_dec q p) as [->|N]; [assumption|].
      specialize (H q). now rewrite upd_other in H. }
    unfold at_rest in *. now rewrite E1, E2, E3, E4.
  - intros H. pose proof (H p) as Hp. rewrite upd_same in Hp. destruct Sc as [Sc|Sc]; [auto|].
    destruct (Fc Sc) as (E1 & E2 & _). rewrite E1, E2. apply (inv_no_pop _ I).
    intros q. destruct (N.eq_dec q p) as [->|N]; [assumption|]. specialize (H q). now rewrite upd_other in H.
  - intros q. unfold upd. destruct (N.eqb_spec q p) as [->|N]; [assumption|].
    destruct Sp as [Sp|Sp].
    + (* nobody else is on this side *)
      pose proof (inv_producer _ I q p) as U.
      destruct (pcs s q); cbn in *; try exact Logic.I; exfalso; apply N; auto.
    + destruct (Fp Sp) as (E1 & E2 & E3 & E4 & E5).
      apply (push_frame (the_ring s)); auto. apply (inv_push _ I).
  - intros q. unfold upd. destruct (N.eqb_spec q p) as [->|N]; [assumption|].
    destruct Sc as [Sc|Sc].
    + pose proof (inv_consumer _ I q p) as U.
      destruct (pcs s q); cbn in *; try exact Logic.I; exfalso; apply N; auto.
    + destruct (Fc Sc) as (E1 & E2 & E3).
      apply (pop_frame (the_ring s)); auto; [|apply (inv_pop _ I)].
      intros n Hn. rewrite <- E2. apply E3. now rewrite E1, E2.
  - intros q. unfold upd. destruct (N.eqb_spec q p) as [->|N]; [assumption|].
    apply (seal_frame (the_ring s)); auto. apply (inv_seal _ I).
Qed.

(** A step keeps the invariant. *)
Definition keeps (k : move) : Prop :=
  forall s p a r x, Inv s -> tstep (the_ring s) (pcs s p) k = Some (a, r, x) ->
    Inv {| the_ring := r; pcs := upd (pcs s) p x |}.

Ltac some := match goal with H : Some _ = Some _ |- _ => injection H as <- <- <- end.

(** All places at which a thread may take this step. *)
Ltac places H Ex :=
  match type of H with Model.tstep _ _ _ _ ?x _ = _ => destruct x eqn:Ex end;
  cbn in H; unfold look_for_room, claimed, decided, look_for_more, reads, or_sealed, does, does_p,
    does_c in H;
  repeat match type of H with
    | context [match ?y with _ => _ end] => is_var y; destruct y; try discriminate H
    | context [if ?b then Some _ else _] => destruct b eqn:?; try discriminate H
    | context [if ?b then _ else Some _] => destruct b eqn:?; try discriminate H
    | context [if ?b then _ else None] => destruct b eqn:?; try discriminate H
    end;
  try discriminate H; bools.

Ltac inv_start :=
  intros s p a r x I H;
  pose proof (inv_push _ I p) as Op; pose proof (inv_pop _ I p) as Oc; pose proof (inv_seal _ I p) as Os;
  pose proof (inv_passed _ I) as Ips; pose proof (inv_filling _ I) as Ifl; numbers I;
  let Ex := fresh "Ex" in places H Ex; injection H as <- <- <-; cbn in Op, Oc, Os.


(** What is left of a step: arithmetic, and facts that are at hand. *)
Ltac split_tests := repeat match goal with
  | |- context [if ?b then _ else _] => destruct b eqn:?
  | H : context [if ?b then _ else _] |- _ => destruct b eqn:?
  end.
Ltac finish :=
  unfold at_rest, in_place, set_room, set_ready, left, advance in *; cbn in *;
  repeat match goal with H : _ /\ _ |- _ => destruct H end;
  split_tests; bools; cbn in *; auto; try discriminate; try congruence; try lia;
  repeat split; intros; auto; try discriminate; try congruence; try lia; try tauto;
  repeat match goal with H : _ /\ _ |- _ => destruct H end; auto; try congruence; try lia.

Lemma run_fits n (vs : list val) : len (firstn (N.to_nat (N.min n c)) vs) <= n.
Proof. unfold len. rewrite firstn_length. lia. Qed.
Lemma run_some n (vs : list val) : 1 <= n -> vs <> [] -> (1 <= length (firstn (N.to_nat (N.min n c)) vs))%nat.
Proof. intros A B. rewrite firstn_length. destruct vs; [congruence|]. cbn. lia. Qed.

Ltac inv_step :=
  inv_start; apply inv_move; auto; try match goal with E : pcs _ _ = _ |- _ => rewrite ?E end; finish;
  try (exfalso; assert (false = true) by auto; discriminate);
  try match goal with H : ?vs <> [] |- _ => pose proof (len_positive vs H); lia end;
  try match goal with |- context [len (firstn (N.to_nat (N.min ?n c)) ?vs)] =>
        pose proof (run_fits n vs); lia end;
  try (apply run_some; [lia|assumption]);
  try (apply part_upd; lia);
  try (unfold len in *; cbn [length] in *; lia).
Lemma PUSH_HEAD_inv : keeps (At PUSH_HEAD).
Proof. inv_step. Qed.
Lemma PUSH_FENCE_inv : keeps (At PUSH_FENCE).
Proof. inv_step. Qed.
Lemma PUSH_ENTER_inv : keeps (At PUSH_ENTER).
Proof. inv_step. Qed.
Lemma PUSH_SEALED_inv : keeps (At PUSH_SEALED).
Proof. inv_step. Qed.
Lemma PUSH_LEAVE_inv : keeps (At PUSH_LEAVE).
Proof. inv_step. Qed.
Lemma PUSH_PUBLISH_inv : keeps (At PUSH_PUBLISH).
Proof. inv_step. Qed.
Lemma POP_WRITTEN_inv : keeps (At POP_WRITTEN).
Proof. inv_step. Qed.
Lemma POP_FENCE_inv : keeps (At POP_FENCE).
Proof. inv_step. Qed.
Lemma POP_SEALED_inv : keeps (At POP_SEALED).
Proof. inv_step. Qed.
Lemma POP_LAST_inv : keeps (At POP_LAST).
Proof. inv_step. Qed.
Lemma POP_RELEASE_inv : keeps (At POP_RELEASE).
Proof. inv_step. Qed.
Lemma SEAL_MARK_inv : keeps (At SEAL_MARK).
Proof. inv_step. Qed.
Lemma SEAL_FENCE_inv : keeps (At SEAL_FENCE).
Proof. inv_step. Qed.
Lemma SEAL_LOOK_inv : keeps (At SEAL_LOOK).
Proof. inv_step. Qed.
Lemma SEAL_DONE_inv : keeps (At SEAL_DONE).
Proof. inv_step. Qed.
Lemma FENCE_ASK_inv : keeps (At FENCE_ASK).
Proof. inv_step. Qed.
Lemma LOOK_WRITTEN_inv : keeps (At LOOK_WRITTEN).
Proof. inv_step. Qed.
Lemma LOOK_TAKEN_inv : keeps (At LOOK_TAKEN).
Proof. inv_step. Qed.
Lemma LOOK_SEALED_inv : keeps (At LOOK_SEALED).
Proof. inv_step. Qed.
Lemma WRITE_inv : keeps WRITE.
Proof.
  inv_step.
  all: try (intros _; eexists; split; [reflexivity|cbn; now rewrite upd_same]).
  all: apply part_upd; unfold len in *; cbn [length] in *; lia.
Qed.
Lemma READ_inv : keeps READ.
Proof.
  inv_step.
  - rewrite len_app. unfold len at 2. cbn [length]. lia.
  - match goal with H : position _ = _ |- _ => rewrite H end.
    rewrite app_length, Nat.add_1_r, part_snoc. unfold len. f_equal. assumption.
Qed.

Lemma step_inv s p k a r x : Inv s -> tstep (the_ring s) (pcs s p) k = Some (a, r, x) ->
  Inv {| the_ring := r; pcs := upd (pcs s) p x |}.
Proof.
  destruct k as [[]| |];
    [apply PUSH_HEAD_inv|apply PUSH_FENCE_inv|apply PUSH_ENTER_inv|apply PUSH_SEALED_inv|apply PUSH_LEAVE_inv
    |apply PUSH_PUBLISH_inv|apply POP_WRITTEN_inv|apply POP_FENCE_inv|apply POP_SEALED_inv|apply POP_LAST_inv
    |apply POP_RELEASE_inv|apply SEAL_MARK_inv|apply SEAL_FENCE_inv|apply SEAL_LOOK_inv|apply SEAL_DONE_inv
    |apply FENCE_ASK_inv|apply LOOK_WRITTEN_inv|apply LOOK_TAKEN_inv|apply LOOK_SEALED_inv|apply WRITE_inv
    |apply READ_inv].
Qed.

(** A call begins: nobody was on its side. *)
Lemma begin_inv s p x : Inv s -> pcs s p = Idle ->
  (pushes x = true -> (forall q, pushes (pcs s q) = false) /\ push_ok (the_ring s) x) ->
  (pops x = true -> (forall q, pops (pcs s q) = false) /\ pop_ok (the_ring s) x) ->
  seal_ok (the_ring s) x -> entered x = false ->
  Inv {| the_ring := the_ring s; pcs := upd (pcs s) p x |}.
Proof.
  intros I E Hp Hc' Hs He. numbers I.
  constructor; cbn; auto; try apply I.
  - intros D. destruct (inv_deciding _ I D) as (q & Eq). exists q. rewrite upd_other; [assumption|].
    intros ->. rewrite E in Eq. discriminate.
  - intros q q'. unfold upd. destruct (N.eqb_spec q p) as [->|N], (N.eqb_spec q' p) as [->|N'];
      intros X Y; auto; try (destruct (Hp ltac:(assumption)) as (A & _); congruence).
    apply (inv_producer _ I); auto.
  - intros q q'. unfold upd. destruct (N.eqb_spec q p) as [->|N], (N.eqb_spec q' p) as [->|N'];
      intros X Y; auto; try (destruct (Hc' ltac:(assumption)) as (A & _); congruence).
    apply (inv_consumer _ I); auto.
  - intros H'. apply (inv_no_push _ I). intros q. destruct (N.eq_dec q p) as [->|N]; [now rewrite E|].
    specialize (H' q). now rewrite upd_other in H'.
  - intros H'. apply (inv_no_pop _ I). intros q. destruct (N.eq_dec q p) as [->|N]; [now rewrite E|].
    specialize (H' q). now rewrite upd_other in H'.
  - intros q. unfold upd. destruct (N.eqb_spec q p) as [->|N]; [|apply (inv_push _ I)].
    destruct (pushes x) eqn:Px; [now apply Hp|]. destruct x; cbn in *; auto; discriminate.
  - intros q. unfold upd. destruct (N.eqb_spec q p) as [->|N]; [|apply (inv_pop _ I)].
    destruct (pops x) eqn:Px; [now apply Hc'|]. destruct x; cbn in *; auto; discriminate.
  - intros q. unfold upd. destruct (N.eqb_spec q p) as [->|N]; [assumption|apply (inv_seal _ I)].
Qed.

(** It ends: it has left its side before. *)
Lemma end_inv s p o : Inv s -> answer (pcs s p) = Some o ->
  Inv {| the_ring := the_ring s; pcs := upd (pcs s) p Idle |}.
Proof.
  intros I E. numbers I.
  assert (pushes (pcs s p) = false /\ pops (pcs s p) = false /\ entered (pcs s p) = false) as (Ep & Ec & Ee).
  { destruct (pcs s p); cbn in *; try discriminate; auto. }
  apply inv_move; auto; try apply I; cbn; try discriminate; auto; try congruence.
  repeat split; auto.
Qed.

Lemma ctrans_inv s l s' : Inv s -> ctrans c d heavy s l s' -> Inv s'.
Proof.
  intros I T. destruct T.
  - apply begin_inv; auto; cbn; try discriminate; auto.
    intros _. split; [assumption|]. split; [now apply (inv_no_push _ I)|auto].
  - apply begin_inv; auto; cbn; try discriminate; auto.
    intros _. split; [assumption|]. split; [now apply (inv_no_pop _ I)|auto].
  - apply begin_inv; auto; cbn; try discriminate; auto.
  - apply begin_inv; auto; cbn; try discriminate; auto.
  - eapply step_inv; eauto.
  - destruct (inv_no_push _ I H0) as (E1 & E2 & E3). numbers I.
    constructor; cbn; try apply I; try lia.
    + unfold fresh; cbn. split; auto.
    + intros q. pose proof (H0 q). destruct (pcs s q); cbn in *; auto; discriminate.
  - pose proof (inv_no_pop _ I H0) as E1. numbers I.
    constructor; cbn; try apply I; try lia; auto.
    intros q. pose proof (H0 q). destruct (pcs s q); cbn in *; auto; discriminate.
  - eapply end_inv; eauto.
Qed.

Lemma initial_inv s : cinit s -> Inv s.
Proof.
  intros (W & D & T & M & P & Ep & Ec & F & X).
  constructor; rewrite ?W, ?D, ?T, ?M, ?P, ?Ep, ?Ec, ?F; cbn; try lia; try discriminate; auto.
  - intros p q. rewrite X. discriminate.
  - intros p q. rewrite X. discriminate.
  - intros _. unfold at_rest. rewrite Ep, F, W, D. auto.
  - intros p. now rewrite X.
  - intros p. now rewrite X.
  - intros p. now rewrite X.
Qed.

(** * What each step means *)

(** The gate: closing waits for a push that was accepted before the mark and is being filled. *)
Definition gate_now (r : ring) : gate :=
  if marked (sealed (shared r)) && negb (filling r)
  then if passed (sealed (shared r)) then Shut else Shutting
  else Open.

(** Guesses at what will come: the producer's (consumer's) look after its fence will find the ring full
    (empty). [Full] then takes effect at [LOOK_SEALED], where the ring is not marked, and [Empty] at
    [POP_SEALED], where closing is not complete. *)
Definition guess : Type := bool * bool.

Definition may (s : cstate) (g : guess) : Prop :=
  Inv s /\
  (fst g = true -> written (shared (the_ring s)) = taken (shared (the_ring s)) + c) /\
  (snd g = true -> written (shared (the_ring s)) = taken (shared (the_ring s))).

(** What the queue has been told of a thread that is at [x]. *)
Definition told (r : ring) (g : guess) (x : pc) (y : lstat) : Prop :=
  match x with
  | Idle => y = Out
  | PStart vs _ | PLooked vs _ | PBlocked vs | PEntered vs _ _ | PDoubt vs _ _ | PDoubly vs _
  | PRefused vs => y = Made (Push (map Some vs))
  | PFilled v _ => y = Made (Push (map Some [v]))
  | PUnsealed vs | PFenced vs => y = if fst g then Ended Full else Made (Push (map Some vs))
  | PRun todo n _ => exists cut k,
      n = (k + N.to_nat (position (producer r) - written (shared r)))%nat /\
      asking y k (part (payloads (shared r)) (written (shared r))
                       (N.to_nat (position (producer r) - written (shared r))) ++ todo ++ cut)
  | CStart n _ | CLooked n _ | CBlocked n | CFenced n => y = Made (Pop n)
  | CSealed n over => y = if negb over && snd g then Ended Empty else Made (Pop n)
  | CReading k got => exists n, y = Made (Pop n) /\ (1 <= length got + k <= n)%nat
  | SStart | SFence | SDone | SLook => y = Made Seal
  | Looking _ => y = Made Look
  | Fin o => y = Ended o
  end.

Record fits (s : cstate) (g : guess) (a : lstate) : Prop := {
  fits_inside : inside a = content (shared (the_ring s));
  fits_gate : gate_of a = gate_now (the_ring s);
  fits_mark : marked (sealed (shared (the_ring s))) = true -> asked a = true;
  fits_seals : forall p, seals (pcs s p) = true -> asked a = true;
  fits_settled : settled a = true -> passed (sealed (shared (the_ring s))) = true;
  fits_at : forall p, told (the_ring s) g (pcs s p) (at_ a p)
}.

Lemma told_frame r r' g g' x y :
  (pushes x = true -> producer r' = producer r /\ written (shared r') = written (shared r) /\
     payloads (shared r') = payloads (shared r) /\ fst g' = fst g) ->
  (pops x = true -> snd g' = snd g) ->
  told r g x y -> told r' g' x y.
Proof.
  intros Hp Hc'. destruct x; cbn in *; auto;
    try (destruct (Hp eq_refl) as (E1 & E2 & E3 & E4); rewrite ?E1, ?E2, ?E3, ?E4; auto).
  rewrite (Hc' eq_refl). auto.
Qed.

(** A thread moves on, and the queue with it. *)
Lemma fits_move s p r x g g' a a' :
  Inv s -> fits s g a ->
  inside a' = content (shared r) -> gate_of a' = gate_now r ->
  (marked (sealed (shared r)) = true -> asked a' = true) ->
  (asked a = true -> asked a' = true) -> (seals x = true -> asked a' = true) ->
  told r g' x (at_ a' p) ->
  (forall q, q <> p -> at_ a' q = at_ a q) ->
  (pushes (pcs s p) = false -> producer r = producer (the_ring s) /\
     written (shared r) = written (shared (the_ring s)) /\
     payloads (shared r) = payloads (shared (the_ring s)) /\ fst g' = fst g) ->
  (pops (pcs s p) = false -> snd g' = snd g) ->
  (settled a' = true -> passed (sealed (shared r)) = true) ->
  fits {| the_ring := r; pcs := upd (pcs s) p x |} g' a'.
Proof.
  intros I F A B M K S T O Fp Fc Se. constructor; cbn; auto.
  - intros q. unfold upd. destruct (N.eqb_spec q p) as [->|N]; [assumption|].
    intros Sq. apply K. exact (fits_seals _ _ _ F q Sq).
  - intros q. unfold upd. destruct (N.eqb_spec q p) as [->|N]; [assumption|].
    rewrite O by assumption. apply (told_frame (the_ring s) r g); [| |apply (fits_at _ _ _ F)].
    + intros Pq. apply Fp. destruct (pushes (pcs s p)) eqn:E; [|reflexivity].
      exfalso. apply N. apply (inv_producer _ I); assumption.
    + intros Cq. apply Fc. destruct (pops (pcs s p)) eqn:E; [|reflexivity].
      exfalso. apply N. apply (inv_consumer _ I); assumption.
Qed.

(** Each step is explained by steps of the queue. *)
Definition explained (k : move) : Prop :=
  forall s p a r x, Inv s -> tstep (the_ring s) (pcs s p) k = Some (a, r, x) ->
  forall g', may {| the_ring := r; pcs := upd (pcs s) p x |} g' ->
  exists g, may s g /\ forall b, fits s g b ->
    exists b', exec late b [] b' /\ fits {| the_ring := r; pcs := upd (pcs s) p x |} g' b'.

(** The queue does nothing. *)
Lemma no_effect s p r x g' :
  Inv s -> may {| the_ring := r; pcs := upd (pcs s) p x |} g' ->
  content (shared r) = content (shared (the_ring s)) -> gate_now r = gate_now (the_ring s) ->
  written (shared r) = written (shared (the_ring s)) -> taken (shared r) = taken (shared (the_ring s)) ->
  (marked (sealed (shared r)) = true -> marked (sealed (shared (the_ring s))) = true \/
     seals (pcs s p) = true) ->
  (seals x = true -> seals (pcs s p) = true) ->
  (forall y, told (the_ring s) g' (pcs s p) y -> told r g' x y) ->
  (pushes (pcs s p) = false -> producer r = producer (the_ring s) /\
     payloads (shared r) = payloads (shared (the_ring s))) ->
  (passed (sealed (shared (the_ring s))) = true -> passed (sealed (shared r)) = true) ->
  exists g, may s g /\ forall b, fits s g b ->
    exists b', exec late b [] b' /\ fits {| the_ring := r; pcs := upd (pcs s) p x |} g' b'.
Proof.
  intros I (_ & G1 & G2) C Ga W T M S To Fp Pm. cbn in G1, G2. exists g'. split.
  - split; [assumption|]. now rewrite <- W, <- T.
  - intros b F. exists b. split; [constructor|].
    apply (fits_move s p r x g' g' b b); auto.
    + rewrite C. apply F.
    + rewrite Ga. apply F.
    + intros H. destruct (M H) as [H'|H']; [exact (fits_mark _ _ _ F H')|exact (fits_seals _ _ _ F p H')].
    + intros H. exact (fits_seals _ _ _ F p (S H)).
    + apply To. apply (fits_at _ _ _ F).
    + intros H. destruct (Fp H). auto.
    + intros H. apply Pm. exact (fits_settled _ _ _ F H).
Qed.

Ltac lin_start :=
  intros s p a r x I H g' G;
  pose proof (inv_push _ I p) as Op; pose proof (inv_pop _ I p) as Oc; pose proof (inv_seal _ I p) as Os;
  numbers I;
  let Ex := fresh "Ex" in places H Ex; injection H as <- <- <-; cbn in Op, Oc, Os.

Lemma content_same w w' : written w' = written w -> taken w' = taken w -> payloads w' = payloads w ->
  content w' = content w.
Proof. intros E1 E2 E3. unfold content. now rewrite E1, E2, E3. Qed.

Ltac quiet_step :=
  unfold at_rest in *; split_tests; bools; apply no_effect; try assumption; try reflexivity;
  try match goal with E : pcs _ _ = _ |- _ => rewrite E end; cbn; auto; try discriminate; try tauto;
  try (apply content_same; cbn; auto); try (intuition lia).

(** Where a push writes, nothing is inside. *)
Lemma content_write s v w : Inv s ->
  payloads w = upd (payloads (shared (the_ring s))) (slot (position (producer (the_ring s)))) v ->
  position (producer (the_ring s)) < limit (producer (the_ring s)) ->
  taken w = taken (shared (the_ring s)) -> written w = written (shared (the_ring s)) ->
  content w = content (shared (the_ring s)).
Proof.
  intros I E L T W. numbers I. unfold content. rewrite E, T, W. apply part_upd; lia.
Qed.

Lemma len_content s : Inv s ->
  len (content (shared (the_ring s))) = written (shared (the_ring s)) - taken (shared (the_ring s)).
Proof. intros I. numbers I. unfold content, len. rewrite part_length. lia. Qed.

Lemma content_none s : written (shared (the_ring s)) = taken (shared (the_ring s)) ->
  content (shared (the_ring s)) = [].
Proof. intros E. unfold content. now rewrite E, N.sub_diag. Qed.

(** Who has entered is making a push. *)
Lemma entered_pushing s g b : Inv s -> fits s g b -> deciding (shared (the_ring s)) = true -> pushing b.
Proof.
  intros I F D. destruct (inv_deciding _ I D) as (q & E). pose proof (fits_at _ _ _ F q) as T. exists q.
  destruct (pcs s q); cbn in E; try discriminate; cbn in T;
    try (exists 0%nat, vs; left; auto; fail).
  destruct T as (cut & k & _ & A). eauto.
Qed.

(** One effect of the queue, for the thread that moves. *)
Lemma one_effect s p r x g g' q y :
  Inv s -> may s g ->
  (forall b, fits s g b -> ltrans c d heavy b None (moved b p q y)) ->
  q = content (shared r) -> gate_now r = gate_now (the_ring s) ->
  (marked (sealed (shared r)) = true -> marked (sealed (shared (the_ring s))) = true \/
    seals (pcs s p) = true) ->
  seals x = false -> told r g' x y ->
  (pushes (pcs s p) = false -> producer r = producer (the_ring s) /\
     written (shared r) = written (shared (the_ring s)) /\
     payloads (shared r) = payloads (shared (the_ring s)) /\ fst g' = fst g) ->
  (pops (pcs s p) = false -> snd g' = snd g) ->
  (passed (sealed (shared (the_ring s))) = true -> passed (sealed (shared r)) = true) ->
  exists g, may s g /\ forall b, fits s g b ->
    exists b', exec late b [] b' /\ fits {| the_ring := r; pcs := upd (pcs s) p x |} g' b'.
Proof.
  intros I M L C Ga Ma S T Fp Fc Pm. exists g. split; [assumption|]. intros b F. exists (moved b p q y).
    split.
  - eapply exec_tau; [apply L; exact F|constructor].
  - apply (fits_move s p r x g g' b); auto; cbn.
    + rewrite Ga. apply F.
    + intros H. destruct (Ma H) as [H'|H']; [exact (fits_mark _ _ _ F H')|exact (fits_seals _ _ _ F p H')].
    + rewrite S. discriminate.
    + now rewrite upd_same.
    + intros t N. now rewrite upd_other.
    + intros H. apply Pm. exact (fits_settled _ _ _ F H).
Qed.

Lemma PUSH_FENCE_lin : explained (At PUSH_FENCE).
Proof. lin_start; quiet_step. Qed.
Lemma PUSH_ENTER_lin : explained (At PUSH_ENTER).
Proof. lin_start; quiet_step. Qed.
Lemma POP_WRITTEN_lin : explained (At POP_WRITTEN).
Proof. lin_start; quiet_step. Qed.
Lemma POP_FENCE_lin : explained (At POP_FENCE).
Proof. lin_start; quiet_step. Qed.
Lemma SEAL_FENCE_lin : explained (At SEAL_FENCE).
Proof. lin_start; quiet_step. Qed.
Lemma FENCE_ASK_lin : explained (At FENCE_ASK).
Proof. lin_start; quiet_step. Qed.
Lemma LOOK_WRITTEN_lin : explained (At LOOK_WRITTEN).
Proof. lin_start; quiet_step. Qed.
Lemma LOOK_TAKEN_lin : explained (At LOOK_TAKEN).
Proof. lin_start; quiet_step. Qed.

Lemma PUSH_HEAD_lin : explained (At PUSH_HEAD).
Proof.
  lin_start; try (quiet_step; fail).
  (* the look after the fence: it was guessed *)
  destruct G as (I' & G1 & G2). destruct Op as ((E1 & E2 & E3) & Nvs).
  unfold left, set_room in *. cbn in *.
  destruct (N.min _ c =? 0) eqn:B; bools.
  - exists (true, snd g'). split; [split; [assumption|cbn; split; [intros; lia|assumption]]|].
    intros b F. exists b. split; [constructor|].
    pose proof (fits_at _ _ _ F p) as T. rewrite Ex in T.
    apply (fits_move s p _ _ (true, snd g') g' b b); auto; rewrite ?Ex; cbn; try apply F; try discriminate;
      auto.
  - exists (false, snd g'). split; [split; [assumption|cbn; split; [discriminate|assumption]]|].
    intros b F. exists b. split; [constructor|].
    pose proof (fits_at _ _ _ F p) as T. rewrite Ex in T.
    apply (fits_move s p _ _ (false, snd g') g' b b); auto; rewrite ?Ex; cbn; try apply F; try discriminate;
      auto.
Qed.

(** A refused push: the gate is not open any more. *)
Lemma gate_closed r : marked (sealed (shared r)) = true -> filling r = false -> gate_now r <> Open.
Proof. intros M F. unfold gate_now. rewrite M, F. cbn. destruct (passed _); discriminate. Qed.

Ltac told_at F p E := pose proof (fits_at _ _ _ F p) as T; rewrite E in T; cbn in T.

Lemma LOOK_SEALED_lin : explained (At LOOK_SEALED).
Proof.
  lin_start; try (quiet_step; fail).
  destruct Op as ((E1 & E2 & E3) & Nvs). pose proof G as (I' & G1 & G2). cbn in G1, G2.
  destruct (marked (sealed (shared (the_ring s)))) eqn:M.
  - (* Closed *)
    apply (one_effect s p _ _ g' g' (content (shared (the_ring s))) (Ended Closed)); auto; rewrite ?Ex; cbn;
      try discriminate; auto.
    + split; auto.
    + intros b F. told_at F p Ex. rewrite <- (fits_inside _ _ _ F). eapply l_refused; [exact T|].
      rewrite (fits_gate _ _ _ F). now apply gate_closed.
  - destruct (fst g') eqn:Full.
    + (* Full, if the look after the fence will say so *)
      apply (one_effect s p _ _ g' g' (content (shared (the_ring s))) (Ended AtomicQueue.Full)); auto;
        rewrite ?Ex; cbn; try discriminate; auto.
      * split; auto.
      * intros b F. told_at F p Ex. rewrite <- (fits_inside _ _ _ F). eapply l_full; [exact T| |].
        -- rewrite (fits_gate _ _ _ F). unfold gate_now. now rewrite M.
        -- rewrite (fits_inside _ _ _ F), (len_content _ I). rewrite (G1 eq_refl). lia.
      * now rewrite Full.
    + apply no_effect; auto; try rewrite Ex; cbn; try discriminate; auto. now rewrite Full.
Qed.

Lemma PUSH_LEAVE_lin : explained (At PUSH_LEAVE).
Proof.
  lin_start; try (quiet_step; fail).
  destruct Op as (E1 & E2 & E3 & Nvs). pose proof G as (I' & G1 & G2). cbn in G1, G2.
  apply (one_effect s p _ _ g' g' (content (shared (the_ring s))) (Ended Closed)); auto; rewrite ?Ex; cbn;
    try discriminate; auto.
  - split; auto. cbn. rewrite <- E1. auto.
  - intros b F. told_at F p Ex. rewrite <- (fits_inside _ _ _ F). eapply l_refused; [exact T|].
    rewrite (fits_gate _ _ _ F). now apply gate_closed.
  - symmetry. now apply content_same.
Qed.

Lemma bare_unmarked x : bare x = true -> marked x = false.
Proof. unfold bare. destruct (marked x); [discriminate|auto]. Qed.

(** Accepted: the gate stays open until the run is published. *)
Lemma accepted s p vs full g' a r x :
  Inv s -> decided c (the_ring s) vs full = Some (a, r, x) -> marked (sealed (shared (the_ring s))) = false ->
  pushes (pcs s p) = true -> pops (pcs s p) = false ->
  position (producer (the_ring s)) = written (shared (the_ring s)) ->
  in_place (the_ring s) vs full ->
  (forall y, told (the_ring s) g' (pcs s p) y -> y = Made (Push (map Some vs))) ->
  may {| the_ring := r; pcs := upd (pcs s) p x |} g' ->
  exists g, may s g /\ forall b, fits s g b ->
    exists b', exec late b [] b' /\ fits {| the_ring := r; pcs := upd (pcs s) p x |} g' b'.
Proof.
  intros I H M Pp Pc E1 Pl T G. unfold decided, does_p in H.
  destruct full; injection H as <- <- <-; apply no_effect; auto; cbn; try discriminate; try congruence.
  - unfold gate_now. cbn. now rewrite M.
  - intros y Hy. apply T in Hy. destruct (Pl eq_refl) as (v & -> & Ev).
    exists [], 0%nat. rewrite E1. replace (N.to_nat _) with 1%nat by lia. split; [reflexivity|].
    left. split; [reflexivity|]. cbn. rewrite <- E1, Ev. exact Hy.
  - unfold gate_now. cbn. now rewrite M.
  - intros y Hy. apply T in Hy.
    exists (skipn (N.to_nat (left c (producer (the_ring s)))) vs), 0%nat.
    rewrite E1, N.sub_diag. split; [reflexivity|]. left. split; [reflexivity|]. cbn.
    now rewrite firstn_skipn.
Qed.

Ltac absurd_step H :=
  repeat match type of H with context [match ?y with _ => _ end] => destruct y end; discriminate H.

Lemma PUSH_SEALED_lin : explained (At PUSH_SEALED).
Proof.
  intros s p a r x I H g' G. pose proof (inv_push _ I p) as Op.
  destruct (pcs s p) eqn:Ex; cbn in H; try (absurd_step H); cbn in Op.
  - destruct (bare (sealed (shared (the_ring s)))) eqn:B.
    + apply (accepted _ _ _ _ g' _ _ _ I H); auto; rewrite ?Ex; cbn; auto; try tauto.
      now apply bare_unmarked.
    + injection H as <- <- <-. quiet_step.
  - destruct (marked (sealed (shared (the_ring s)))) eqn:M.
    + injection H as <- <- <-. quiet_step.
    + apply (accepted _ _ _ _ g' _ _ _ I H); auto; rewrite ?Ex; cbn; auto; tauto.
Qed.

Lemma WRITE_lin : explained WRITE.
Proof.
  lin_start.
  1,2,3: apply no_effect; auto; rewrite ?Ex; cbn; auto; try discriminate;
    apply (content_write s v); auto; unfold left, len in *; cbn in *; intuition lia.
  destruct Op as (E1 & E2 & E3 & E4 & E5 & E6). rewrite len_cons in E5.
  apply no_effect; auto; rewrite ?Ex; cbn; auto; try discriminate.
  - apply (content_write s v); auto. lia.
  - intros y (cut & k & En & A). exists cut, k.
    replace (N.to_nat (position (producer (the_ring s)) + 1 - written (shared (the_ring s))))
      with (S (N.to_nat (position (producer (the_ring s)) - written (shared (the_ring s))))) by lia.
    split; [lia|]. rewrite part_snoc, part_upd by lia.
    replace (written (shared (the_ring s)) +
             N.of_nat (N.to_nat (position (producer (the_ring s)) - written (shared (the_ring s)))))
      with (position (producer (the_ring s))) by lia.
    rewrite upd_same, <- app_assoc. exact A.
Qed.

Lemma READ_lin : explained READ.
Proof.
  lin_start; (apply no_effect; auto; rewrite ?Ex; cbn; auto; try discriminate);
    unfold left in *; intros y T.
  - exists n. split; [assumption|]. lia.
  - exists n. split; [assumption|]. lia.
  - exists n. split; [assumption|]. lia.
  - destruct T as (n & T & L). exists n. split; [assumption|]. rewrite app_length. cbn. lia.
Qed.


(** The queue after a publication. *)
Lemma content_publish s b w : Inv s -> inside b = content (shared (the_ring s)) ->
  written w = position (producer (the_ring s)) -> taken w = taken (shared (the_ring s)) ->
  payloads w = payloads (shared (the_ring s)) ->
  inside b ++ part (payloads (shared (the_ring s))) (written (shared (the_ring s)))
    (N.to_nat (position (producer (the_ring s)) - written (shared (the_ring s)))) = content w.
Proof.
  intros I E W T P. numbers I. rewrite E. unfold content. rewrite W, T, P.
  replace (N.to_nat (position (producer (the_ring s)) - taken (shared (the_ring s))))
    with (N.to_nat (written (shared (the_ring s)) - taken (shared (the_ring s))) +
          N.to_nat (position (producer (the_ring s)) - written (shared (the_ring s))))%nat by lia.
  rewrite part_app. do 2 f_equal. lia.
Qed.

Lemma publish_step r todo n deferred : push_step c d r (PRun todo n deferred) (At PUSH_PUBLISH) =
  if d <=? deferred then does r (StoreWritten (position (producer r)) true) (PRun todo n 0)
  else match todo with
       | [] => does_p r (StoreWritten (position (producer r)) false) (producer r) false (Fin (Pushed n))
       | _ => None
       end.
Proof. destruct todo; reflexivity. Qed.

Lemma PUSH_PUBLISH_lin : explained (At PUSH_PUBLISH).
Proof.
  intros s p a r x I H g' G. pose proof (inv_push _ I p) as Op. numbers I.
  destruct (pcs s p) eqn:Ex; try (cbn in H; absurd_step H); cbn in Op.
  change (push_step c d (the_ring s) (PRun todo n deferred) (At PUSH_PUBLISH) = Some (a, r, x)) in H.
  rewrite publish_step in H. unfold does, does_p in H.
  destruct (d <=? deferred) eqn:Due; [|destruct todo; [|discriminate H]]; injection H as <- <- <-; bools;
    destruct Op as (E1 & E2 & E3 & E4 & E5 & E6); pose proof G as (I' & G1 & G2); cbn in G1, G2;
    (exists (false, snd g'); split; [split; [assumption|split; cbn; [discriminate|intros K;
      specialize (G2 K); lia]]|]);
    intros b F; told_at F p Ex; destruct T as (cut & k & En & A);
    set (u := N.to_nat (position (producer (the_ring s)) - written (shared (the_ring s)))) in *;
    set (now := part (payloads (shared (the_ring s))) (written (shared (the_ring s))) u) in *;
    assert (length now = u) as Lu by apply part_length;
    assert (gate_of b = Open) as Ob
      by (rewrite (fits_gate _ _ _ F); unfold gate_now; rewrite E1; cbn; now rewrite andb_false_r);
    assert (len (inside b) + len now <= c) as Room
      by (rewrite (fits_inside _ _ _ F), (len_content _ I); unfold len; rewrite Lu; subst u; lia).
  - (* a piece *)
    assert (d <= len now) as Big by (unfold len; rewrite Lu; subst u; lia).
    exists (moved b p (inside b ++ now) (Midway (k + length now) (todo ++ cut))). split.
    + eapply exec_tau; [|constructor]. eapply (l_piece c d heavy b p k now (todo ++ cut)); assumption.
    + apply (fits_move s p _ _ (false, snd g') g' b); auto; rewrite ?Ex; cbn; try apply F;
        try discriminate; auto.
      * apply (content_publish s); auto. apply F.
      * rewrite upd_same. exists cut, (k + u)%nat. rewrite N.sub_diag. cbn. split; [lia|].
        right. rewrite Lu. split; [|reflexivity]. unfold len in Big. lia.
      * intros q N. now rewrite upd_other.
  - (* the last one; closing may have waited for it *)
    set (b1 := moved b p (inside b ++ now) (Ended (Pushed (k + length now)))).
    assert (exec late b [] b1) as X1.
    { eapply exec_tau; [|constructor]. apply (l_last c d heavy b p k now cut);
        auto. cbn in E6. rewrite Lu. lia. }
    set (r := {| shared := {| written := position (producer (the_ring s)); deciding := false;
                   taken := taken (shared (the_ring s)); sealed := sealed (shared (the_ring s));
                   payloads := payloads (shared (the_ring s)) |};
                 producer := producer (the_ring s); filling := false; consumer := consumer (the_ring s) |}).
    set (b2 := {| inside := inside b1; gate_of := gate_now r; asked := asked b1; settled := settled b1;
      at_ := at_ b1 |}).
    exists b2. split.
    + change (@nil ev) with (@nil ev ++ []). apply exec_app with (1 := X1).
      assert (gate_of b1 = Open) as O1 by exact Ob.
      assert (marked (sealed (shared (the_ring s))) = true -> asked b1 = true) as K1 by exact (fits_mark _ _
        _ F).
      clearbody b1. unfold b2, gate_now, r. cbn.
      destruct (marked (sealed (shared (the_ring s)))); cbn.
      * rewrite (K1 eq_refl). eapply exec_tau; [apply l_shutting; [exact (K1 eq_refl)|exact O1]|]. cbn.
        destruct (passed (sealed (shared (the_ring s)))); [|constructor].
        eapply exec_tau; [apply l_shut; reflexivity|]. constructor.
      * rewrite <- O1. destruct b1. constructor.
    + apply (fits_move s p r _ (false, snd g') g' b b2); auto; rewrite ?Ex; cbn; try apply F;
        try discriminate; auto.
      * apply (content_publish s); auto. apply F.
      * rewrite upd_same. do 2 f_equal. lia.
      * intros q N. now rewrite upd_other.
Qed.

(** What a look at the producer's position shows. *)
Lemma none_ready s : Inv s -> position (consumer (the_ring s)) = taken (shared (the_ring s)) ->
  left c (set_ready c (consumer (the_ring s)) (written (shared (the_ring s)))) = 0 ->
  written (shared (the_ring s)) = taken (shared (the_ring s)).
Proof. intros I E L. numbers I. unfold left, set_ready in L. cbn in L. lia. Qed.

Lemma POP_SEALED_lin : explained (At POP_SEALED).
Proof.
  lin_start. destruct Oc as (E1 & E2). pose proof G as (I' & G1 & G2). cbn in G1, G2.
  destruct (passed (sealed (shared (the_ring s)))) eqn:P.
  - apply no_effect; auto; rewrite ?Ex; cbn; auto; discriminate.
  - destruct (snd g') eqn:None.
    + (* Empty, if the last look will say so: closing is not complete *)
      apply (one_effect s p _ _ g' g' (content (shared (the_ring s))) (Ended Empty)); auto; rewrite ?Ex; cbn;
        try discriminate; auto.
      * split; auto.
      * intros b F. told_at F p Ex. rewrite (content_none _ (G2 eq_refl)). eapply l_empty; [exact T| |].
        -- rewrite (fits_inside _ _ _ F). now apply content_none, G2.
        -- left. split; [|destruct (settled b) eqn:Se; [|reflexivity]; rewrite (fits_settled _ _ _ F Se) in P;
             discriminate P].
           rewrite (fits_gate _ _ _ F). unfold gate_now. rewrite P. destruct (_ && _); discriminate.
      * now rewrite None.
    + apply no_effect; auto; rewrite ?Ex; cbn; auto; try discriminate. now rewrite None.
Qed.

Lemma POP_LAST_lin : explained (At POP_LAST).
Proof.
  intros s p a r x I H g' G. pose proof (inv_pop _ I p) as Oc. numbers I.
  destruct (pcs s p) eqn:Ex; try (cbn in H; absurd_step H); cbn in Oc.
  match goal with E : pcs s p = CSealed _ ?o |- _ => rename o into over end.
  cbn in H. unfold look_for_more, does_c in H. injection H as <- <- <-. destruct Oc as (E1 & E2 & E3).
    pose proof G as (I' & G1 & G2). cbn in G1, G2.
  destruct (left c _ =? 0) eqn:L; bools.
  - pose proof (none_ready _ I E1 L) as None.
    destruct over; cbn.
    + destruct (deciding (shared (the_ring s))) eqn:D; cbn.
      * (* a push is being made *)
        apply (one_effect s p _ _ g' g' (content (shared (the_ring s))) (Ended Empty)); auto; rewrite ?Ex;
          cbn;
          try discriminate; auto.
        -- split; auto.
        -- intros b F. told_at F p Ex. rewrite (content_none _ None). eapply l_empty; [exact T| |].
           ++ rewrite (fits_inside _ _ _ F). now apply content_none.
           ++ right. exact (entered_pushing _ _ _ I F D).
      * (* closed *)
        apply (one_effect s p _ _ g' g' (content (shared (the_ring s))) (Ended Closed)); auto; rewrite ?Ex;
          cbn;
          try discriminate; auto.
        -- split; auto.
        -- intros b F. told_at F p Ex. rewrite (content_none _ None). eapply l_pop_closed; [exact T| |].
           ++ rewrite (fits_inside _ _ _ F). now apply content_none.
           ++ rewrite (fits_gate _ _ _ F). unfold gate_now. rewrite (E3 eq_refl),
                (inv_passed _ I (E3 eq_refl)).
              destruct (filling (the_ring s)) eqn:Fi; [|reflexivity].
              pose proof (inv_filling _ I Fi). congruence.
    + (* it was guessed *)
      exists (fst g', true). split; [split; [assumption|cbn; auto]|]. intros b F. told_at F p Ex.
      exists b. split; [constructor|].
      apply (fits_move s p _ _ (fst g', true) g' b b); auto; rewrite ?Ex; cbn; try apply F;
        try discriminate; auto.
  - exists (fst g', false). split; [split; [assumption|cbn; split; [auto|discriminate]]|].
    intros b F. told_at F p Ex. rewrite andb_false_r in T. exists b. split; [constructor|].
    apply (fits_move s p _ _ (fst g', false) g' b b); auto; rewrite ?Ex; cbn; try apply F; try discriminate;
      auto.
Qed.

Lemma POP_RELEASE_lin : explained (At POP_RELEASE).
Proof.
  lin_start. destruct Oc as (E1 & E2 & E3). pose proof G as (I' & G1 & G2). cbn in G1, G2.
  apply (one_effect s p _ _ (fst g', false) g'
           (part (payloads (shared (the_ring s))) (position (consumer (the_ring s)))
              (N.to_nat (written (shared (the_ring s)) - position (consumer (the_ring s)))))
           (Ended (Popped got))); auto; rewrite ?Ex; cbn; try discriminate; auto.
  - split; [assumption|]. cbn. split; [|discriminate]. intros H. specialize (G1 H).
    unfold len in E1. lia.
  - intros b F. told_at F p Ex. destruct T as (n & T & L).
    eapply l_popped; [exact T| |lia]. rewrite (fits_inside _ _ _ F). unfold content.
    rewrite E3 at 1. rewrite E1.
    replace (N.to_nat (written (shared (the_ring s)) - taken (shared (the_ring s))))
      with (length got + N.to_nat (written (shared (the_ring s)) - (taken (shared (the_ring s)) + len
        got)))%nat
      by (unfold len in *; lia).
    rewrite part_app. reflexivity.
Qed.

(** The gate moves with the mark, if no push is in its way. *)
Lemma mark_gate r f b : (passed (sealed (shared r)) = true -> marked (sealed (shared r)) = true) ->
  f = filling r ->
  let r' := {| shared := apply (OrSealed (sealed (shared r))
                 {| marked := true; passed := passed (sealed (shared r));
                   fenced := fenced (sealed (shared r));
                    agreed := b |}) (shared r);
               producer := producer r; filling := f; consumer := consumer r |} in
  gate_now r' = gate_now r \/ (gate_now r = Open /\ gate_now r' = Shutting) \/
  (gate_now r = Shutting /\ gate_now r' = Shut).
Proof.
  intros P ->. unfold gate_now. cbn. destruct (filling r); [rewrite andb_false_r; auto|].
  destruct (marked (sealed (shared r))); [auto|].
  destruct (passed (sealed (shared r))); [discriminate (P eq_refl)|auto].
Qed.

Definition gate_may_move (r r' : ring) : Prop :=
  gate_now r' = gate_now r \/ (gate_now r = Open /\ gate_now r' = Shutting) \/
  (gate_now r = Shutting /\ gate_now r' = Shut).

Lemma gate_exec r r' b : gate_may_move r r' -> gate_of b = gate_now r -> asked b = true ->
  exec late b [] {| inside := inside b; gate_of := gate_now r'; asked := true; settled := settled b;
    at_ := at_ b |}.
Proof.
  intros [E|[(E & ->)|(E & ->)]] Gb K.
  - rewrite E, <- Gb, <- K. destruct b. constructor.
  - eapply exec_tau; [|constructor]. apply l_shutting; [exact K|congruence].
  - eapply exec_tau; [|constructor]. rewrite <- K. apply l_shut. congruence.
Qed.

Lemma gate_moves s p r x g' :
  Inv s -> may {| the_ring := r; pcs := upd (pcs s) p x |} g' ->
  shared r = apply (OrSealed (sealed (shared r)) (sealed (shared r))) (shared (the_ring s)) ->
  producer r = producer (the_ring s) -> filling r = filling (the_ring s) ->
  seals (pcs s p) = true -> (forall b, fits s g' b -> at_ b p = Made Seal) ->
  gate_may_move (the_ring s) r ->
  (told r g' x (Made Seal) \/ (heavy = false /\ x = Fin Busy)) ->
  (passed (sealed (shared (the_ring s))) = true -> passed (sealed (shared r)) = true) ->
  exists g, may s g /\ forall b, fits s g b ->
    exists b', exec late b [] b' /\ fits {| the_ring := r; pcs := upd (pcs s) p x |} g' b'.
Proof.
  intros I (I' & G1 & G2) Sh Ep Ef Ss At Ga T Pm. cbn in G1, G2.
  assert (written (shared r) = written (shared (the_ring s)) /\
    taken (shared r) = taken (shared (the_ring s)) /\
          payloads (shared r) = payloads (shared (the_ring s))) as (E1 & E2 & E3) by (rewrite Sh; auto).
  exists g'. split; [split; [assumption|]; now rewrite <- E1, <- E2|]. intros b F.
  assert (asked b = true) as K by exact (fits_seals _ _ _ F p Ss).
  pose proof (gate_exec _ _ _ Ga (fits_gate _ _ _ F) K) as X.
  set (b' := {| inside := inside b; gate_of := gate_now r; asked := true; settled := settled b;
    at_ := at_ b |}) in *.
  assert (inside b = content (shared r)) as C.
  { rewrite (fits_inside _ _ _ F). symmetry. now apply content_same. }
  destruct T as [T|(He & ->)].
  - exists b'. split; [exact X|]. apply (fits_move s p r x g' g' b b'); auto; cbn; auto.
    + now rewrite (At b F).
    + intros H. apply Pm. exact (fits_settled _ _ _ F H).
  - (* no barrier: the answer is no *)
    exists (moved b' p (inside b') (Ended Busy)). split.
    + change (@nil ev) with (@nil ev ++ []). apply exec_app with (1 := X).
      eapply exec_tau; [|constructor]. apply l_no_barrier; [exact (At b F)|exact He].
    + apply (fits_move s p r _ g' g' b); auto; cbn; auto.
      * now rewrite upd_same.
      * intros q N. now rewrite upd_other.
      * intros H. apply Pm. exact (fits_settled _ _ _ F H).
Qed.

Lemma SEAL_MARK_lin : explained (At SEAL_MARK).
Proof.
  intros s p a r x I H g' G. destruct (pcs s p) eqn:Ex; try (cbn in H; absurd_step H).
  cbn in H. unfold or_sealed, does in H. injection H as <- <- <-.
  apply (gate_moves s p); auto; rewrite ?Ex; cbn; auto.
  - intros b F. told_at F p Ex. exact T.
  - apply mark_gate; auto. apply (inv_passed _ I).
  - destruct (agreed _); [now left|]. assert (heavy = true \/ heavy = false) as [He|He] by (destruct heavy;
      auto).
    + left. now rewrite He.
    + right. now rewrite He.
Qed.

Lemma SEAL_DONE_lin : explained (At SEAL_DONE).
Proof.
  lin_start.
  apply (gate_moves s p); auto; rewrite ?Ex; cbn; auto.
  - intros b F. told_at F p Ex. exact T.
  - unfold gate_may_move, gate_now. cbn. rewrite Os. destruct (filling _); [now left|]. cbn.
    destruct (passed _); auto.
Qed.

Lemma SEAL_LOOK_lin : explained (At SEAL_LOOK).
Proof.
  lin_start. pose proof G as (I' & G1 & G2). cbn in G1, G2.
  exists g'. split; [split; auto|]. intros b F. told_at F p Ex.
  exists (settles b p (if deciding (shared (the_ring s)) then Busy else Sealed)). split.
  - eapply exec_tau; [|constructor]. destruct (deciding (shared (the_ring s))) eqn:D.
    + apply l_not_complete; [exact T|]. exact (entered_pushing _ _ _ I F D).
    + apply l_sealed; [exact T|].
      rewrite (fits_gate _ _ _ F). unfold gate_now. rewrite Os, (inv_passed _ I Os).
      destruct (filling (the_ring s)) eqn:Fi; [|reflexivity].
      pose proof (inv_filling _ I Fi). congruence.
  - apply (fits_move s p _ _ g' g' b); auto; rewrite ?Ex; cbn; try apply F; try discriminate; auto.
    + now rewrite upd_same.
    + intros q N. now rewrite upd_other.
Qed.

Lemma step_explained k : explained k.
Proof.
  destruct k as [[]| |];
    [apply PUSH_HEAD_lin|apply PUSH_FENCE_lin|apply PUSH_ENTER_lin|apply PUSH_SEALED_lin|apply PUSH_LEAVE_lin
    |apply PUSH_PUBLISH_lin|apply POP_WRITTEN_lin|apply POP_FENCE_lin|apply POP_SEALED_lin|apply POP_LAST_lin
    |apply POP_RELEASE_lin|apply SEAL_MARK_lin|apply SEAL_FENCE_lin|apply SEAL_LOOK_lin|apply SEAL_DONE_lin
    |apply FENCE_ASK_lin|apply LOOK_WRITTEN_lin|apply LOOK_TAKEN_lin|apply LOOK_SEALED_lin|apply WRITE_lin
    |apply READ_lin].
Qed.

(** A call is made. *)
Lemma call_explained s p o x g b : Inv s -> fits s g b -> pcs s p = Idle -> asks o = true ->
  told (the_ring s) g x (Made o) -> (seals x = true -> o = Seal) ->
  (forall cs, o = Push cs -> forall q, pushes (pcs s q) = false) ->
  exists b', exec late b [Call p o] b' /\ fits {| the_ring := the_ring s; pcs := upd (pcs s) p x |} g b'.
Proof.
  intros I F E A To S Free. told_at F p E.
  eexists. split; [eapply exec_vis; [apply l_call; [exact T|exact A|]|constructor]|].
  { (* nobody is pushing, so nothing holds the gate open *)
    intros cs Eo Se. rewrite (fits_gate _ _ _ F). unfold gate_now.
    destruct (inv_no_push _ I (Free cs Eo)) as (_ & Fi & _).
    pose proof (fits_settled _ _ _ F Se) as P. now rewrite P, (inv_passed _ I P), Fi. }
  apply (fits_move s p (the_ring s) x g g b); auto; cbn; try apply F.
  - intros H. rewrite (fits_mark _ _ _ F H). reflexivity.
  - intros H. now rewrite H.
  - intros H. rewrite (S H). cbn. apply orb_true_r.
  - now rewrite upd_same.
  - intros q N. now rewrite upd_other.
Qed.

(** A call returns; one that only looked has had no effect so far. *)
Lemma return_explained s p r g b : Inv s -> fits s g b -> answer (pcs s p) = Some r ->
  exists b', exec late b [Ret p r] b' /\ fits {| the_ring := the_ring s; pcs := upd (pcs s) p Idle |} g b'.
Proof.
  intros I F A.
  assert (exists b1, exec late b [] b1 /\ at_ b1 p = Ended r /\ inside b1 = inside b /\
    gate_of b1 = gate_of b /\
            asked b1 = asked b /\ settled b1 = settled b /\ forall q, q <> p ->
              at_ b1 q = at_ b q) as (b1 & X & E & E1 & E2 & E3 & E4 & O).
  { pose proof (fits_at _ _ _ F p) as T. destruct (pcs s p); cbn in A; try discriminate; injection A as <-;
      cbn in T.
    - exists (moved b p (inside b) (Ended Looked)). split.
      + eapply exec_tau; [apply l_looked; exact T|constructor].
      + cbn. rewrite upd_same. repeat split. intros q N. now rewrite upd_other.
    - exists b. split; [constructor|]. repeat split; auto. }
  exists (moved b1 p (inside b1) Out). split.
  - change [Ret p r] with ([] ++ [Ret p r]). apply exec_app with (1 := X).
    eapply exec_vis; [apply l_ret; exact E|constructor].
  - apply (fits_move s p (the_ring s) Idle g g b); auto; cbn; rewrite ?E1, ?E2, ?E3, ?E4; try apply F; auto;
      try discriminate.
    + now rewrite upd_same.
    + intros q N. rewrite upd_other by assumption. auto.
Qed.

(** A side that nobody is on may change hands. *)
Lemma hands_explained s r g b : fits s g b ->
  shared r = shared (the_ring s) -> filling r = filling (the_ring s) ->
  (producer r = producer (the_ring s) \/ forall q, pushes (pcs s q) = false) ->
  fits {| the_ring := r; pcs := pcs s |} g b.
Proof.
  intros F E1 E2 E3. constructor; cbn.
  - rewrite E1. apply F.
  - rewrite (fits_gate _ _ _ F). unfold gate_now. now rewrite E1, E2.
  - rewrite E1. apply F.
  - apply F.
  - rewrite E1. apply F.
  - intros p. apply (told_frame (the_ring s) r g); [| |apply (fits_at _ _ _ F)]; auto.
    rewrite E1. destruct E3 as [E3|E3]; auto. rewrite (E3 p). discriminate.
Qed.

Theorem spsc_late : refines spsc late.
Proof.
  apply foresight_refines with (may := may) (fits := fits). constructor.
  - intros s C. pose proof (initial_inv s C) as I. split.
    + exists (false, false). split; [exact I|]. split; discriminate.
    + intros g _. exists {| inside := []; gate_of := Open; asked := false; settled := false;
        at_ := fun _ => Out |}.
      split; [repeat split|]. destruct C as (W & D & T & M & P & Ep & Ec & Fi & X).
      constructor; cbn; try congruence.
      * unfold content. rewrite W, T. reflexivity.
      * unfold gate_now. now rewrite M.
      * intros p. rewrite X. discriminate.
      * intros p. now rewrite X.
  - intros s l s' (g0 & I & _) T. cbn in T. pose proof (ctrans_inv _ _ _ I T) as I'. split.
    { exists (false, false). split; [exact I'|]. split; discriminate. }
    intros g' G. destruct T.
    + exists g'. destruct G as (_ & G). split; [split; assumption|]. intros b F. cbn.
      apply call_explained; auto; cbn; try discriminate; auto; try (intros; discriminate).
      destruct vs; [congruence|reflexivity].
    + exists g'. destruct G as (_ & G). split; [split; assumption|]. intros b F. cbn.
      apply call_explained; auto; cbn; try discriminate; auto; try (intros; discriminate).
      destruct n; [congruence|reflexivity].
    + exists g'. destruct G as (_ & G). split; [split; assumption|]. intros b F. cbn.
      apply call_explained; auto; cbn; auto; try (intros; discriminate).
    + exists g'. destruct G as (_ & G). split; [split; assumption|]. intros b F. cbn.
      apply call_explained; auto; cbn; auto; try (intros; discriminate).
    + eapply step_explained; eauto.
    + exists g'. destruct G as (_ & G). split; [split; assumption|]. intros b1 F. exists b1.
      split; [constructor|]. apply hands_explained; auto.
    + exists g'. destruct G as (_ & G). split; [split; assumption|]. intros b1 F. exists b1.
      split; [constructor|]. apply hands_explained; auto.
    + exists g'. destruct G as (_ & G). split; [split; assumption|]. intros b F. cbn.
      apply return_explained; auto.
Qed.

(** Without closing and runs longer than a piece: the bounded FIFO itself. *)
Theorem spsc_linearizable tr :
  is_trace spsc tr -> plain_calls d tr -> is_trace (atomic_queue c) tr.
Proof. intros T P. apply (late_is_atomic c d heavy Hd tr); [|exact P]. now apply spsc_late. Qed.

Corollary spsc_herlihy_wing tr : is_trace spsc tr -> plain_calls d tr -> fifo_linearizable c tr.
Proof. intros T P. apply atomic_queue_linearizable. now apply spsc_linearizable. Qed.

Corollary spsc_closed_for_good before p n mid after q o rest r :
  is_trace spsc (before ++ [Call p (Pop n)] ++ mid ++ [Ret p Closed] ++ after ++ [Call q o] ++ rest ++ [Ret q
    r]) ->
  silent p mid -> silent q rest -> (forall vs, r <> Popped vs) /\ forall k, r <> Pushed k.
Proof.
  intros T Sp Sq. exact (closed_for_good c d heavy before p n mid after q o rest r (spsc_late _ T) Sp Sq).
Qed.

Corollary spsc_sealed_refuses before p mid r0 after q vs rest r : heavy = true ->
  is_trace spsc (before ++ [Call p Seal] ++ mid ++ [Ret p r0] ++
                 after ++ [Call q (Push vs)] ++ rest ++ [Ret q r]) ->
  silent p mid -> silent q rest -> r = Closed.
Proof.
  intros Hv T Sp Sq. exact (sealed_refuses c d heavy before p mid r0 after q vs rest r Hv (spsc_late _ T) Sp
    Sq).
Qed.

(** * Every call ends, whatever the others do *)

(** Accesses to shared words. Fences are none, and a payload is its side's own (I2). *)
Definition counts (a : acc) : nat :=
  match a with Fence | LoadPayload _ _ | StorePayload _ _ => 0 | _ => 1 end.

(** A part of an execution in which [p] neither calls nor returns: [n] accesses of its own, [m] steps of its
    own. The others do what they like, any number of times. *)
Inductive course (p : tid) : cstate -> nat -> nat -> cstate -> Prop :=
| course_nil s : course p s 0 0 s
| course_own s k a r x n m s' : tstep (the_ring s) (pcs s p) k = Some (a, r, x) ->
    course p {| the_ring := r; pcs := upd (pcs s) p x |} n m s' -> course p s (counts a + n) (S m) s'
| course_other s l s1 n m s' : ctrans c d heavy s l s1 -> pcs s1 p = pcs s p ->
    course p s1 n m s' -> course p s n m s'.

Definition pieces (k : N) : nat := N.to_nat (k / d).

(** How many accesses, and how many steps, are left at most. *)
Definition accesses_left (x : pc) : nat :=
  match x with
  | PStart vs _ => 13 + pieces (len vs)
  | PLooked vs n => n + 4 + pieces (len vs)
  | PBlocked vs => 6 + pieces (len vs)
  | PUnsealed vs | PFenced vs => 5 + pieces (len vs)
  | PFilled v again => (if again then 7 else 4) + pieces 1
  | PEntered vs _ again => (if again then 6 else 3) + pieces (len vs)
  | PDoubt vs _ again => (if again then 5 else 2) + pieces (len vs)
  | PDoubly vs _ => 2 + pieces (len vs)
  | PRefused _ => 1
  | PRun todo _ deferred => 1 + pieces (deferred + len todo)
  | CStart _ again => if again then 11 else 10
  | CLooked _ n => n + 1
  | CBlocked _ | CFenced _ => 3
  | CSealed _ _ => 2
  | CReading _ _ => 1
  | SStart => 3 | SFence | SDone => 2 | SLook => 1
  | Idle | Looking _ | Fin _ => 0
  end.
Definition steps_left (x : pc) : nat :=
  match x with
  | PStart vs _ => 15 + length vs + pieces (len vs)
  | PLooked vs n => n + 6 + length vs + pieces (len vs)
  | PBlocked vs => 9 + length vs + pieces (len vs)
  | PUnsealed vs => 8 + length vs + pieces (len vs)
  | PFenced vs => 7 + length vs + pieces (len vs)
  | PFilled v again => (if again then 10 else 6) + pieces 1
  | PEntered vs _ again => (if again then 8 else 4) + length vs + pieces (len vs)
  | PDoubt vs _ again => (if again then 7 else 3) + length vs + pieces (len vs)
  | PDoubly vs _ => 2 + length vs + pieces (len vs)
  | PRefused _ => 1
  | PRun todo _ deferred => 1 + length todo + pieces (deferred + len todo)
  | CStart n again => n + if again then 12 else 11
  | CLooked n looks => looks + n + 2
  | CBlocked n => n + 5
  | CFenced n => n + 4
  | CSealed n _ => n + 3
  | CReading k _ => k + 1
  | SStart => 4 | SFence => 3 | SDone => 2 | SLook => 1
  | Idle | Looking _ | Fin _ => 0
  end.

(** Inside a push, a pop or a seal, or at its end. *)
Definition engaged (x : pc) : bool := match x with Idle | Looking _ => false | _ => true end.

Lemma pieces_mono a b : a <= b -> (pieces a <= pieces b)%nat.
Proof. intros L. unfold pieces. assert (a / d <= b / d) by (apply N.div_le_mono; lia). lia. Qed.

Lemma pieces_one a b : d <= a -> (S (pieces b) <= pieces (a + b))%nat.
Proof.
  intros L. unfold pieces. assert ((d + b) / d <= (a + b) / d) as M by (apply N.div_le_mono; lia).
  replace (d + b) with (b + 1 * d) in M by lia. rewrite N.div_add in M by lia. lia.
Qed.

Lemma run_pieces n (vs : list val) :
  (pieces (len (firstn n vs)) <= pieces (len vs))%nat /\ (length (firstn n vs) <= length vs)%nat.
Proof.
  pose proof (firstn_length n vs) as E. split; [apply pieces_mono; unfold len|]; lia.
Qed.

(** An own step uses one of those that are left. *)
Lemma own_step r x k a r' x' : engaged x = true -> tstep r x k = Some (a, r', x') ->
  ((counts a + accesses_left x' <= accesses_left x)%nat /\ (steps_left x' < steps_left x)%nat) /\
  engaged x' = true.
Proof.
  intros W H. destruct x; try discriminate W; cbn in H;
    unfold look_for_room, claimed, decided, look_for_more, reads, or_sealed, does, does_p, does_c in H;
    repeat match type of H with
    | context [match ?y with _ => _ end] => destruct y eqn:?; try discriminate H
    end; try discriminate H; injection H as <- <- <-; subst; cbn; bools.
  all: repeat match goal with
       | |- context [if ?b then _ else _] => destruct b; cbn
       | |- context [firstn ?n ?vs] => pose proof (run_pieces n vs); generalize dependent (firstn n vs);
         intros
       end; try lia.
  all: repeat match goal with |- context [len [?v]] => change (len [v]) with 1 end;
    change (@len val []) with 0; try (split; [|reflexivity]; lia); split; try reflexivity.
  all: rewrite ?len_cons; pose proof (pieces_mono 0) as Z.
  1,2,3: pose proof (Z (len vs) ltac:(lia)); lia.
  1: pose proof (pieces_one deferred 0 ltac:(assumption)); lia.
  1: match goal with |- context [pieces (1 + ?k)] =>
       pose proof (pieces_one deferred (1 + k) ltac:(assumption)); lia end.
  rewrite N.add_assoc. lia.
Qed.

(** And none of the others' steps uses one. *)
Lemma course_bound p s n m s' : course p s n m s' -> engaged (pcs s p) = true ->
  (n + accesses_left (pcs s' p) <= accesses_left (pcs s p))%nat /\
  (m + steps_left (pcs s' p) <= steps_left (pcs s p))%nat.
Proof.
  induction 1 as [s|s k a r x n m s' H C IH|s l s1 n m s' T E C IH]; intros W.
  - lia.
  - destruct (own_step _ _ _ _ _ _ W H) as ((A & B) & Wx). cbn in IH. rewrite upd_same in IH.
    specialize (IH Wx). lia.
  - rewrite E in IH. exact (IH W).
Qed.

(** A call that has no answer yet can take a step, whatever the others did. *)
Lemma never_stuck r x : engaged x = true -> answer x = None -> exists k a r' x', tstep r x k = Some (a, r',
  x').
Proof.
  intros W A. destruct x; try discriminate W; try discriminate A; unfold tstep; cbn [pushes pops seals].
  - destruct (left c (producer r) <? len vs) eqn:L.
    + exists (At PUSH_HEAD). cbn. rewrite L. unfold look_for_room, does_p. eauto.
    + exists (At PUSH_ENTER). cbn. rewrite L. unfold does. eauto.
  - exists (At PUSH_ENTER). destruct looks; cbn; unfold does; eauto.
  - exists (At LOOK_SEALED). cbn. unfold does. eauto.
  - exists (At PUSH_FENCE). cbn. unfold does. eauto.
  - exists (At PUSH_HEAD). cbn. unfold look_for_room, does_p. eauto.
  - exists (At PUSH_ENTER). cbn. unfold does. eauto.
  - exists (At PUSH_SEALED). cbn. unfold decided, does, does_p. destruct (bare _), full; eauto.
  - exists (At PUSH_FENCE). destruct full, again; cbn; unfold does; eauto.
  - exists (At PUSH_SEALED). cbn. unfold decided, does, does_p. destruct (marked _), full; eauto.
  - exists (At PUSH_LEAVE). cbn. unfold does. eauto.
  - destruct todo as [|v todo].
    + exists (At PUSH_PUBLISH). rewrite publish_step. unfold does, does_p. destruct (d <=? deferred); eauto.
    + exists WRITE. cbn. unfold does_p. eauto.
  - destruct (left c (consumer r) <? N.of_nat n) eqn:L.
    + exists (At POP_WRITTEN). cbn. rewrite L. unfold look_for_more, does_c. destruct again; eauto.
    + exists READ. cbn. rewrite L. unfold reads, does_c. eauto.
  - exists READ. destruct looks; cbn; unfold reads, does_c; eauto.
  - exists (At POP_FENCE). cbn. unfold does. eauto.
  - exists (At POP_SEALED). cbn. unfold does. eauto.
  - exists (At POP_LAST). cbn. unfold look_for_more, does_c. eauto.
  - destruct k as [|k].
    + exists (At POP_RELEASE). cbn. unfold does. eauto.
    + exists READ. cbn. unfold reads, does_c. eauto.
  - exists (At SEAL_MARK). cbn. unfold or_sealed, does. eauto.
  - exists (At SEAL_FENCE). cbn. unfold does. eauto.
  - exists (At SEAL_DONE). cbn. unfold or_sealed, does. eauto.
  - exists (At SEAL_LOOK). cbn. unfold does. eauto.
Qed.

(** The numbers. A push of [vs], begun anyhow: 13 accesses, and one for each piece; a pop: 10, or 11 by the
    straight way; a seal: 3. With the fences and the payloads at most [15 + 2 * length vs] (a push) steps in
    all, so that every call ends: a step can always be taken ([never_stuck]), and there are no more than
    these. *)
Theorem spsc_wait_free p s n m s' : course p s n m s' ->
  (forall vs again, pcs s p = PStart vs again ->
     (n <= 13 + pieces (len vs))%nat /\ (m <= 15 + length vs + pieces (len vs))%nat) /\
  (forall k again, pcs s p = CStart k again ->
     (n <= if again then 11 else 10)%nat /\ (m <= k + if again then 12 else 11)%nat) /\
  (pcs s p = SStart -> (n <= 3)%nat /\ (m <= 4)%nat).
Proof.
  intros C. pose proof (course_bound _ _ _ _ _ C) as B.
  split; [|split]; intros; match goal with E : pcs s p = _ |- _ => rewrite E in B end;
    specialize (B eq_refl); cbn in B; split; lia.
Qed.
End Proof.
