(** What the ring of one producer and one consumer promises, closing and long runs included.

    [late_queue c d heavy] is the bounded FIFO of [AtomicQueue.v] but for two things, each documented:

    - A run takes effect in pieces of [d] elements or more, the last one may be smaller. A run that is not
      longer than [d] takes effect at once.
    - Closing takes effect late, when no push is halfway: the gate goes from open over shutting to shut, some
      time after somebody asked for it, and not while a push is accepted. From the first of these steps on
      pushes are refused; from the second on a pop that finds nothing is told [Closed], or [Empty] while
      a push is being made. Who asks is answered [Sealed] if the gate is shut, and [Busy] while a push is
      being made; either way, from then on who begins to push finds the gate shut, and a pop is told [Empty]
      only while a push is being made. (Without a barrier the answer is [Busy], too, and means nothing.)

    [Full] and [Empty] are exact: [Full] at an instant at which all places are taken and the gate is open,
    [Empty] at one at which nothing is inside. [Busy] is no answer to a push or a pop.

    Proved:
    - [late_is_atomic]: histories of this queue without [Seal], and without runs longer than [d], are
      histories of [atomic_queue c];
    - [closed_for_good]: once a pop has been told [Closed], no call that is made later moves an element;
    - [sealed_refuses]: once a seal has been answered, a push that is made later is refused. *)
From Coq Require Import List Arith NArith Lia.
Import ListNotations.
From Turtle.common Require Import Lts AtomicQueue SetSimulation.
Local Open Scope N_scope.

Inductive gate := Open | Shutting | Shut.

(** [Midway k vs]: [k] elements of the run are in, [vs] are to come. *)
Inductive lstat := Out | Made (o : op) | Midway (k : nat) (vs : list val) | Ended (r : res).

Record lstate := {
  inside : list val;
  gate_of : gate;
  asked : bool;      (* somebody has called [Seal] *)
  settled : bool;    (* and has been answered, [Sealed] or that a push is being made *)
  at_ : tid -> lstat
}.

(** A push that asks for [vs] now, [k] elements being in. *)
Definition asking (x : lstat) (k : nat) (vs : list val) : Prop :=
  (k = O /\ x = Made (Push (map Some vs))) \/ ((0 < k)%nat /\ x = Midway k vs).

(** Somebody's push is being made. *)
Definition pushing (s : lstate) : Prop := exists q k vs, asking (at_ s q) k vs.

Definition is_seal (o : op) : bool := match o with Seal => true | _ => false end.

Definition moved (s : lstate) (p : tid) (q : list val) (x : lstat) : lstate :=
  {| inside := q; gate_of := gate_of s; asked := asked s; settled := settled s; at_ := upd (at_ s) p x |}.

(** The answer to who asked. *)
Definition settles (s : lstate) (p : tid) (r : res) : lstate :=
  {| inside := inside s; gate_of := gate_of s; asked := asked s; settled := true;
     at_ := upd (at_ s) p (Ended r) |}.

Inductive ltrans (c d : N) (heavy : bool) : lstate -> option ev -> lstate -> Prop :=
| l_call s p o : at_ s p = Out -> asks o = true ->
    (forall cs, o = Push cs -> settled s = true -> gate_of s = Shut) ->
    ltrans c d heavy s (Some (Call p o))
      {| inside := inside s; gate_of := gate_of s; asked := orb (asked s) (is_seal o); settled := settled s;
         at_ := upd (at_ s) p (Made o) |}
| l_piece s p k now later : asking (at_ s p) k (now ++ later) -> gate_of s = Open ->
    d <= len now -> len (inside s) + len now <= c ->
    ltrans c d heavy s None (moved s p (inside s ++ now) (Midway (k + length now) later))
| l_last s p k now later : asking (at_ s p) k (now ++ later) -> gate_of s = Open ->
    (1 <= k + length now)%nat -> len (inside s) + len now <= c ->
    ltrans c d heavy s None (moved s p (inside s ++ now) (Ended (Pushed (k + length now))))
| l_full s p cs : at_ s p = Made (Push cs) -> gate_of s = Open -> len (inside s) = c ->
    ltrans c d heavy s None (moved s p (inside s) (Ended Full))
| l_refused s p cs : at_ s p = Made (Push cs) -> gate_of s <> Open ->
    ltrans c d heavy s None (moved s p (inside s) (Ended Closed))
| l_popped s p n vs rest : at_ s p = Made (Pop n) -> inside s = vs ++ rest ->
    (1 <= length vs <= n)%nat ->
    ltrans c d heavy s None (moved s p rest (Ended (Popped vs)))
| l_empty s p n : at_ s p = Made (Pop n) -> inside s = [] ->
    (gate_of s <> Shut /\ settled s = false) \/ pushing s ->
    ltrans c d heavy s None (moved s p [] (Ended Empty))
| l_pop_closed s p n : at_ s p = Made (Pop n) -> inside s = [] -> gate_of s = Shut ->
    ltrans c d heavy s None (moved s p [] (Ended Closed))
| l_shutting s : asked s = true -> gate_of s = Open ->
    ltrans c d heavy s None 
      {| inside := inside s; gate_of := Shutting; asked := true; settled := settled s; at_ := at_ s |}
| l_shut s : gate_of s = Shutting ->
    ltrans c d heavy s None 
      {| inside := inside s; gate_of := Shut; asked := asked s; settled := settled s; at_ := at_ s |}
| l_sealed s p : at_ s p = Made Seal -> gate_of s = Shut ->
    ltrans c d heavy s None (settles s p Sealed)
| l_not_complete s p : at_ s p = Made Seal -> pushing s ->
    ltrans c d heavy s None (settles s p Busy)
| l_no_barrier s p : at_ s p = Made Seal -> heavy = false ->
    ltrans c d heavy s None (moved s p (inside s) (Ended Busy))
| l_looked s p : at_ s p = Made Look ->
    ltrans c d heavy s None (moved s p (inside s) (Ended Looked))
| l_ret s p r : at_ s p = Ended r ->
    ltrans c d heavy s (Some (Ret p r)) (moved s p (inside s) Out).

Definition linit (s : lstate) : Prop :=
  inside s = [] /\ gate_of s = Open /\ asked s = false /\ settled s = false /\ forall p, at_ s p = Out.

Definition late_queue (c d : N) (heavy : bool) : lts ev :=
  {| state := lstate; initial := linit; trans := ltrans c d heavy |}.

(** * Without closing and long runs *)

(** Nobody closes, and no run is longer than [d]. *)
Definition plain_call (d : N) (e : ev) : Prop :=
  match e with
  | Call _ Seal => False
  | Call _ (Push cs) => len cs <= d
  | _ => True
  end.
Definition plain_calls (d : N) (tr : list ev) : Prop := forall e, In e tr -> plain_call d e.

Lemma elements_some vs : elements (map Some vs) = length vs.
Proof. induction vs; cbn; congruence. Qed.
Lemma len_some (vs : list val) : len (map Some vs) = len vs.
Proof. unfold len. now rewrite map_length. Qed.
Lemma len_app {A} (a b : list A) : len (a ++ b) = len a + len b.
Proof. unfold len. rewrite app_length. lia. Qed.

Section Plain.
  Variables c d : N.
  Variable heavy : bool.
  Hypothesis Hd : 1 <= d.

  Definition stands (x : lstat) (y : stat) : Prop :=
    match x with
    | Out => y = Outside
    | Made o => y = Called o /\ plain_call d (Call 0 o)
    | Midway k vs => vs = [] /\ y = Done (Pushed k)
    | Ended r => y = Done r
    end.

  Record same_queue (s : lstate) (a : astate) : Prop := {
    same_items : items a = map Some (inside s);
    same_open : gate_of s = Open /\ asked s = false /\ closed a = false;
    same_status : forall p, stands (at_ s p) (status a p)
  }.

  Lemma firstn_some (now later : list val) : firstn (length now) (map Some (now ++ later)) = map Some now.
  Proof. rewrite firstn_map, firstn_app, Nat.sub_diag, firstn_all. cbn. now rewrite app_nil_r. Qed.

  (** Another effect, or none. *)
  Lemma effect_done s a p o r q x : same_queue s a -> at_ s p = Made o -> q = map Some (inside x) ->
    effect c a p o r q false -> gate_of x = Open -> asked x = false ->
    (forall t, t <> p -> at_ x t = at_ s t) -> stands (at_ x p) (Done r) ->
    exists b, exec (atomic_queue c) a [] b /\ same_queue x b.
  Proof.
    intros [I (G & K & C) S] E -> F G' K' O P. pose proof (S p) as Sp. rewrite E in Sp.
      destruct Sp as (Sp & _).
    eexists. split; [eapply exec_tau; [eapply a_effect; eauto|constructor]|].
    constructor; cbn; auto. intros t. unfold upd. destruct (N.eqb_spec t p) as [->|N]; auto.
    rewrite O by assumption. apply S.
  Qed.

  Lemma quietly s a p o q r x : same_queue s a -> at_ s p = Made o -> x = moved s p q (Ended r) ->
    gate_of s = Open -> asked s = false -> effect c a p o r (map Some q) false ->
    exists b, exec (atomic_queue c) a [] b /\ same_queue x b.
  Proof.
    intros Q E -> G K F. eapply effect_done; [exact Q|exact E|reflexivity|exact F|exact G|exact K| |].
    - intros t N. cbn. now apply upd_other.
    - cbn. now rewrite upd_same.
  Qed.

  Lemma late_step s l s' a : same_queue s a -> ltrans c d heavy s l s' ->
    (forall e, l = Some e -> plain_call d e) ->
    exists b, exec (atomic_queue c) a (visible l) b /\ same_queue s' b.
  Proof.
    intros Q T P. pose proof Q as [I (G & K & C) S]. destruct T; cbn [visible];
      try congruence; try (exfalso; congruence).
    - (* a call *)
      pose proof (S p) as Sp. rewrite H in Sp. cbn in Sp.
      specialize (P _ eq_refl). assert (is_seal o = false) as E by now destruct o.
      eexists. split; [eapply exec_vis; [apply a_call; eauto|constructor]|].
      constructor; cbn; auto.
      + now rewrite K, E.
      + intros t. unfold upd. destruct (N.eqb_spec t p) as [->|N]; [split; [reflexivity|]|apply S].
        destruct o; auto.
    - (* a piece: the whole run *)
      destruct H as [(-> & H)|(Hk & H)].
      + pose proof (S p) as Sp. rewrite H in Sp. destruct Sp as (Sp & L). cbn in L.
        rewrite len_some, len_app in L.
        assert (later = []) as -> by (destruct later; [reflexivity|unfold len in *; cbn in *; lia]).
        eapply effect_done with (q := map Some (inside s ++ now)) (r := Pushed (length now));
          [eassumption|exact H|reflexivity| |assumption|assumption| |].
        * rewrite (map_app Some (inside s) now), <- I, <- (elements_some now), <- (firstn_some now []).
          constructor; auto.
          -- rewrite map_length, app_nil_r. unfold len in *. lia.
          -- rewrite I, len_some. exact H2.
        * intros t N. cbn. now apply upd_other.
        * cbn. rewrite upd_same. cbn. auto.
      + pose proof (S p) as Sp. rewrite H in Sp. destruct Sp as (E & Sp).
        apply app_eq_nil in E. destruct E as (-> & ->). unfold len in *. cbn in *. lia.
    - (* the last piece *)
      destruct H as [(-> & H)|(Hk & H)].
      + eapply effect_done with (q := map Some (inside s ++ now)) (r := Pushed (length now));
          [eassumption|exact H|reflexivity| |assumption|assumption| |].
        * rewrite (map_app Some (inside s) now), <- I, <- (elements_some now), <- (firstn_some now later).
          constructor; auto.
          -- rewrite map_length, app_length. lia.
          -- rewrite I, len_some. exact H2.
        * intros t N. cbn. now apply upd_other.
        * cbn. rewrite upd_same. reflexivity.
      + pose proof (S p) as Sp. rewrite H in Sp. destruct Sp as (E & Sp).
        apply app_eq_nil in E. destruct E as (-> & ->). exists a. split; [constructor|].
        constructor; cbn; auto; [now rewrite app_nil_r|].
        intros t. unfold upd. destruct (N.eqb_spec t p) as [->|N]; [cbn; now rewrite Nat.add_0_r|apply S].
    - (* full *)
      apply (quietly _ _ _ _ _ _ _ Q H eq_refl); auto.
      rewrite <- I. constructor; auto. now rewrite I, len_some.
    - (* popped *)
      apply (quietly _ _ _ _ _ _ _ Q H eq_refl); auto.
      rewrite <- C. constructor; auto. rewrite I, H0. apply map_app.
    - (* empty *)
      apply (quietly _ _ _ _ _ _ _ Q H eq_refl); auto.
      constructor; auto. now rewrite I, H0.
    - (* nobody closes *)
      exfalso. pose proof (S p) as Sp. rewrite H in Sp. destruct Sp as (_ & F). exact F.
    - exfalso. pose proof (S p) as Sp. rewrite H in Sp. destruct Sp as (_ & F). exact F.
    - (* looked *)
      apply (quietly _ _ _ _ _ _ _ Q H eq_refl); auto.
      rewrite <- I, <- C. constructor.
    - pose proof (S p) as Sp. rewrite H in Sp. cbn in Sp.
      eexists. split; [eapply exec_vis; [apply a_ret; eauto|constructor]|].
      constructor; cbn; auto. intros t. unfold upd. destruct (N.eqb_spec t p) as [->|N];
        [reflexivity|apply S].
  Qed.

  Theorem late_is_atomic tr :
    is_trace (late_queue c d heavy) tr -> plain_calls d tr -> is_trace (atomic_queue c) tr.
  Proof.
    intros (s0 & s & (I & G & K & _ & O) & X) P.
    pose (a0 := {| items := []; closed := false; status := fun _ => Outside |}).
    assert (same_queue s0 a0) as Q0.
    { constructor; cbn; auto; [now rewrite I|]. intros p. now rewrite O. }
    assert (exists b, exec (atomic_queue c) a0 tr b) as (b & Xb).
    { clear I G K O. revert Q0. generalize a0. clear a0.
      induction X as [s|s l s' tr s'' T X IH]; intros a Q; [exists a; constructor|].
      destruct (late_step _ _ _ _ Q T) as (b & Xb & Qb).
      - intros e ->. apply P. cbn. now left.
      - assert (plain_calls d tr) as P' by (intros e E; apply P, in_or_app; now right).
        destruct (IH P' b Qb) as (b' & X'). exists b'. exact (exec_app Xb X'). }
    exists a0, b. split; [|exact Xb]. repeat split.
  Qed.
End Plain.

(** * Closed is the end *)

Section Closed.
  Variables c d : N.
  Variable heavy : bool.
  Notation late := (late_queue c d heavy).

  Definition thread_of (e : ev) : tid := match e with Call p _ | Ret p _ => p end.
  Definition silent (p : tid) (tr : list ev) : Prop := forall e, In e tr -> thread_of e <> p.

  Definition over (s : lstate) : Prop := gate_of s = Shut /\ inside s = [].

  Lemma over_step s l s' : over s -> ltrans c d heavy s l s' -> over s'.
  Proof.
    intros (G & I) T. unfold over. destruct T; cbn; auto; try congruence.
    rewrite I in H0. symmetry in H0. apply app_eq_nil in H0. destruct H0 as (-> & ->). auto.
  Qed.

  (** A pop of thread [p]; if it was told [Closed], all is over. *)
  Definition popping (p : tid) (n : nat) (s : lstate) : Prop :=
    at_ s p = Made (Pop n) \/ exists r, at_ s p = Ended r /\ (r = Closed -> over s).

  (** All is over, and thread [p]'s call moves no element. *)
  Definition in_vain (p : tid) (o : op) (s : lstate) : Prop :=
    over s /\ (at_ s p = Made o \/
      exists r, at_ s p = Ended r /\ (forall vs, r <> Popped vs) /\ forall k, r <> Pushed k).

  Ltac others p := unfold upd; match goal with |- context [N.eqb p ?q] => destruct (N.eqb_spec p q) as [<-|]
    end.

  Lemma popping_step p n s l s' : popping p n s -> ltrans c d heavy s l s' ->
    (forall e, l = Some e -> thread_of e <> p) -> popping p n s'.
  Proof.
    intros Q T N. pose proof (over_step s l s') as O. unfold popping.
    destruct Q as [Q|(r & Q & K)].
    - destruct T; cbn; try (left; exact Q); others p; try (left; exact Q);
        try (exfalso; apply (N _ eq_refl); reflexivity);
        try (match goal with H : asking _ _ _ |- _ => destruct H as [(_ & H)|(_ & H)]; congruence end);
        try congruence.
      + right. eexists. split; [reflexivity|discriminate].
      + right. eexists. split; [reflexivity|discriminate].
      + right. eexists. split; [reflexivity|]. intros _. split; cbn; auto.
    - assert (r = Closed -> over s') as K' by auto.
      destruct T; cbn; try (right; exists r; split; [exact Q|exact K']); others p;
        try (right; exists r; split; [exact Q|exact K']);
        try (exfalso; apply (N _ eq_refl); reflexivity);
        try (match goal with H : asking _ _ _ |- _ => destruct H as [(_ & H)|(_ & H)]; congruence end);
        congruence.
  Qed.

  Lemma in_vain_step p o s l s' : in_vain p o s -> ltrans c d heavy s l s' ->
    (forall e, l = Some e -> thread_of e <> p) -> in_vain p o s'.
  Proof.
    intros (Ov & Q) T N. split; [exact (over_step s l s' Ov T)|]. destruct Ov as (G & I).
    destruct Q as [Q|(r & Q & K)].
    - destruct T; cbn; try (left; exact Q); others p; try (left; exact Q);
        try (exfalso; apply (N _ eq_refl); reflexivity); try congruence;
        try (right; eexists; split; [reflexivity|split; discriminate]).
      match goal with H : inside s = _ ++ _ |- _ => rewrite I in H; symmetry in H; apply app_eq_nil in H;
        destruct H as (-> & ->) end. cbn in *. lia.
    - destruct T; cbn; try (right; exists r; split; [exact Q|exact K]); others p;
        try (right; exists r; split; [exact Q|exact K]);
        try (exfalso; apply (N _ eq_refl); reflexivity);
        try (match goal with H : asking _ _ _ |- _ => destruct H as [(_ & H)|(_ & H)]; congruence end);
        congruence.
  Qed.

  Lemma exec_stable (P : lstate -> Prop) p :
    (forall s l s', P s -> ltrans c d heavy s l s' -> (forall e, l = Some e -> thread_of e <> p) -> P s') ->
    forall s tr s', exec late s tr s' -> silent p tr -> P s -> P s'.
  Proof.
    intros H s tr s' X. induction X as [s|s l s' tr s'' T X IH]; intros Si Ps; [exact Ps|].
    apply IH.
    - intros e E. apply Si, in_or_app. now right.
    - apply (H s l); auto. intros e ->. apply Si. now left.
  Qed.

  (** An event is seen at one step. *)
  Lemma exec_event s e s' : exec late s [e] s' ->
    exists a b, exec late s [] a /\ ltrans c d heavy a (Some e) b /\ exec late b [] s'.
  Proof.
    intros X. remember [e] as tr eqn:E. induction X as [s|s [e'|] s' tr s'' T X IH]; [discriminate| |].
    - injection E as -> ->. exists s, s'. repeat split; auto. constructor.
    - destruct (IH E) as (a & b & X1 & T' & X2). exists a, b. repeat split; auto. eapply exec_tau; eauto.
  Qed.

  (** Once a pop has been told [Closed], no call that is made later moves an element. *)
  Theorem closed_for_good before p n mid after q o rest r :
    is_trace late (before ++ [Call p (Pop n)] ++ mid ++ [Ret p Closed] ++
                   after ++ [Call q o] ++ rest ++ [Ret q r]) ->
    silent p mid -> silent q rest -> (forall vs, r <> Popped vs) /\ forall k, r <> Pushed k.
  Proof.
    intros (s0 & s & _ & X) Sp Sq.
    destruct (exec_app_inv _ _ X) as (s1 & _ & X1). clear X.
    destruct (exec_app_inv _ _ X1) as (s2 & Y1 & X2). clear X1.
    destruct (exec_app_inv _ _ X2) as (s3 & Y2 & X3). clear X2.
    destruct (exec_app_inv _ _ X3) as (s4 & Y3 & X4). clear X3.
    destruct (exec_app_inv _ _ X4) as (s5 & Y4 & X5). clear X4.
    destruct (exec_app_inv _ _ X5) as (s6 & Y5 & X6). clear X5.
    destruct (exec_app_inv _ _ X6) as (s7 & Y6 & Y7). clear X6.
    assert (silent p []) as Np by (intros e []). assert (silent q []) as Nq by (intros e []).
    (* the pop *)
    destruct (exec_event _ _ _ Y1) as (a1 & b1 & _ & T1 & Z1).
    assert (popping p n b1) as P1 by (inversion T1; subst; left; cbn; apply upd_same).
    pose proof (exec_stable (popping p n) p (popping_step p n) _ _ _ Z1 Np P1) as P2.
    pose proof (exec_stable (popping p n) p (popping_step p n) _ _ _ Y2 Sp P2) as P3.
    destruct (exec_event _ _ _ Y3) as (a3 & b3 & Z3 & T3 & W3).
    pose proof (exec_stable (popping p n) p (popping_step p n) _ _ _ Z3 Np P3) as P4.
    assert (over a3) as O3.
    { inversion T3; subst. destruct P4 as [P4|(r' & P4 & K)]; [congruence|]. apply K. congruence. }
    assert (forall s tr s', exec late s tr s' -> over s -> over s') as Os.
    { intros u tr u' Xu. apply (exec_invariant (A := late)) with (2 := Xu). apply over_step. }
    assert (over s5) as O5.
    { apply (Os _ _ _ Y4), (Os _ _ _ W3). exact (over_step _ _ _ O3 T3). }
    (* the later call *)
    destruct (exec_event _ _ _ Y5) as (a5 & b5 & Z5 & T5 & W5).
    assert (in_vain q o b5) as Q1.
    { split; [exact (over_step _ _ _ (Os _ _ _ Z5 O5) T5)|]. left. inversion T5; subst. cbn. apply upd_same. }
    pose proof (exec_stable (in_vain q o) q (in_vain_step q o) _ _ _ W5 Nq Q1) as Q2.
    pose proof (exec_stable (in_vain q o) q (in_vain_step q o) _ _ _ Y6 Sq Q2) as Q3.
    destruct (exec_event _ _ _ Y7) as (a7 & b7 & Z7 & T7 & _).
    pose proof (exec_stable (in_vain q o) q (in_vain_step q o) _ _ _ Z7 Nq Q3) as (_ & Q4).
    inversion T7; subst. destruct Q4 as [Q4|(r' & Q4 & K)]; [congruence|].
    assert (r' = r) as -> by congruence. exact K.
  Qed.

  (** A seal of thread [p]; when it has its answer, it is settled. *)
  Definition sealing (p : tid) (s : lstate) : Prop :=
    at_ s p = Made Seal \/ ((exists r, at_ s p = Ended r) /\ settled s = true).

  Lemma settled_step s l s' : settled s = true -> ltrans c d heavy s l s' -> settled s' = true.
  Proof. intros S T. destruct T; cbn; auto. Qed.

  Lemma sealing_step p s l s' : heavy = true -> sealing p s -> ltrans c d heavy s l s' ->
    (forall e, l = Some e -> thread_of e <> p) -> sealing p s'.
  Proof.
    intros Hv Q T N. pose proof (settled_step s l s') as St. unfold sealing. destruct Q as [Q|((r & Q) & S)].
    - destruct T; cbn; try (left; exact Q); others p; try (left; exact Q);
        try (exfalso; apply (N _ eq_refl); reflexivity);
        try (match goal with H : asking _ _ _ |- _ => destruct H as [(_ & H)|(_ & H)]; congruence end);
        try congruence; right; eauto.
    - specialize (St S T). right. split; [|exact St].
      destruct T; cbn; try (exists r; exact Q); others p; try (exists r; exact Q);
        try (exfalso; apply (N _ eq_refl); reflexivity);
        try (match goal with H : asking _ _ _ |- _ => destruct H as [(_ & H)|(_ & H)]; congruence end);
        congruence.
  Qed.

  (** A push of thread [q] that found the gate shut. *)
  Definition too_late (q : tid) (cs : list cell) (s : lstate) : Prop :=
    gate_of s = Shut /\ (at_ s q = Made (Push cs) \/ at_ s q = Ended Closed).

  Lemma too_late_step q cs s l s' : too_late q cs s -> ltrans c d heavy s l s' ->
    (forall e, l = Some e -> thread_of e <> q) -> too_late q cs s'.
  Proof.
    intros (G & Q) T N. unfold too_late.
    destruct T; cbn; try congruence; (split; [assumption|]); try exact Q; others q; try exact Q;
      try (exfalso; apply (N _ eq_refl); reflexivity); try (right; reflexivity);
      destruct Q as [Q|Q]; congruence.
  Qed.

  (** Once a seal has been answered, no matter what, a push that is made later is refused. *)
  Theorem sealed_refuses before p mid r0 after q cs rest r : heavy = true ->
    is_trace late (before ++ [Call p Seal] ++ mid ++ [Ret p r0] ++
                   after ++ [Call q (Push cs)] ++ rest ++ [Ret q r]) ->
    silent p mid -> silent q rest -> r = Closed.
  Proof.
    intros Hv (s0 & s & _ & X) Sp Sq.
    destruct (exec_app_inv _ _ X) as (s1 & _ & X1). clear X.
    destruct (exec_app_inv _ _ X1) as (s2 & Y1 & X2). clear X1.
    destruct (exec_app_inv _ _ X2) as (s3 & Y2 & X3). clear X2.
    destruct (exec_app_inv _ _ X3) as (s4 & Y3 & X4). clear X3.
    destruct (exec_app_inv _ _ X4) as (s5 & Y4 & X5). clear X4.
    destruct (exec_app_inv _ _ X5) as (s6 & Y5 & X6). clear X5.
    destruct (exec_app_inv _ _ X6) as (s7 & Y6 & Y7). clear X6.
    assert (silent p []) as Np by (intros e []). assert (silent q []) as Nq by (intros e []).
    assert (forall s l s', sealing p s -> ltrans c d heavy s l s' ->
              (forall e, l = Some e -> thread_of e <> p) -> sealing p s') as St
      by (intros; eapply sealing_step; eauto).
    destruct (exec_event _ _ _ Y1) as (a1 & b1 & _ & T1 & Z1).
    assert (sealing p b1) as P1 by (inversion T1; subst; left; cbn; apply upd_same).
    pose proof (exec_stable (sealing p) p St _ _ _ Z1 Np P1) as P2.
    pose proof (exec_stable (sealing p) p St _ _ _ Y2 Sp P2) as P3.
    destruct (exec_event _ _ _ Y3) as (a3 & b3 & Z3 & T3 & W3).
    pose proof (exec_stable (sealing p) p St _ _ _ Z3 Np P3) as P4.
    assert (settled a3 = true) as S3.
    { destruct P4 as [P4|(_ & P4)]; [|exact P4]. inversion T3; subst. congruence. }
    assert (forall s tr s', exec late s tr s' -> settled s = true -> settled s' = true) as Ss.
    { intros u tr u' Xu. apply (exec_invariant (A := late) (fun s => settled s = true)) with (2 := Xu).
      apply settled_step. }
    assert (settled s5 = true) as S5.
    { apply (Ss _ _ _ Y4), (Ss _ _ _ W3). exact (settled_step _ _ _ S3 T3). }
    destruct (exec_event _ _ _ Y5) as (a5 & b5 & Z5 & T5 & W5).
    assert (too_late q cs b5) as Q1.
    { pose proof (Ss _ _ _ Z5 S5) as S6. inversion T5; subst. unfold too_late. cbn. rewrite upd_same. eauto. }
    pose proof (exec_stable (too_late q cs) q (too_late_step q cs) _ _ _ W5 Nq Q1) as Q2.
    pose proof (exec_stable (too_late q cs) q (too_late_step q cs) _ _ _ Y6 Sq Q2) as Q3.
    destruct (exec_event _ _ _ Y7) as (a7 & b7 & Z7 & T7 & _).
    pose proof (exec_stable (too_late q cs) q (too_late_step q cs) _ _ _ Z7 Nq Q3) as (_ & Q4).
    inversion T7; subst. destruct Q4 as [Q4|Q4]; congruence.
  Qed.
End Closed.
