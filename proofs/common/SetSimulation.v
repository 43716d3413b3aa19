(** Set-valued simulation: for steps whose meaning is decided later.

    A forward simulation relates a concrete state to one abstract state, so it must say at once what each step
    means. Some steps cannot: whether a look at a ring was the moment of [Full] may depend on what others do
    next. Here a concrete state is related to a non-empty set of abstract states (its possibilities), each of
    which explains the trace so far. A step may drop possibilities, as long as one is left.

    Proved, for any two transition systems:
    - [set_simulation_refines]: such a simulation implies inclusion of traces;
    - [set_simulation_complete]: where traces are included, such a simulation exists, so nothing is lost by
      the method (the possibilities are then all abstract states that explain the trace);
    - [foresight_refines]: the everyday form. The possibilities are told apart by a guess at what will come;
      each state has at least one guess, each guess after a step goes back to one before it, and for each
      guess the simulation runs forward.

    Method: possibilities mappings (Herlihy and Wing, TOPLAS 1990, section 4); completeness as in Jayanti,
    Jayanti, Yavuz and Hernandez, POPL 2024. Not used here: any assumption on determinism or finiteness. *)
From Coq Require Import List.
Import ListNotations.
From Turtle.common Require Import Lts.
Set Implicit Arguments.

Section SetSimulation.
  Variable L : Type.
  Variables A B : lts L.

  (** What is possible initially, and after a step from what was possible before. *)
  Definition possible_first (b : state B) : Prop := exists b0, initial B b0 /\ exec B b0 [] b.
  Definition possible_next (U : state B -> Prop) (l : option L) (b : state B) : Prop :=
    exists b0, U b0 /\ exec B b0 (visible l) b.

  Record set_simulation (R : state A -> (state B -> Prop) -> Prop) : Prop := {
    set_first : forall s, initial A s -> exists U, R s U /\ forall b, U b -> possible_first b;
    set_step : forall s l s' U, R s U -> trans A s l s' ->
      exists U', R s' U' /\ forall b, U' b -> possible_next U l b;
    set_inhabited : forall s U, R s U -> exists b, U b
  }.

  (** All abstract states that explain a trace. *)
  Definition explains (tr : list L) (b : state B) : Prop := exists b0, initial B b0 /\ exec B b0 tr b.

  Lemma explains_next tr (U : state B -> Prop) l b :
    (forall b0, U b0 -> explains tr b0) -> possible_next U l b -> explains (tr ++ visible l) b.
  Proof.
    intros H (b1 & Hb & Hx). destruct (H _ Hb) as (b0 & H0 & Hx0).
    exists b0; split; [assumption|]. exact (exec_app Hx0 Hx).
  Qed.

  Theorem set_simulation_refines R : set_simulation R -> refines A B.
  Proof.
    intros [First Step Inhabited] tr (s0 & s & H0 & Hx).
    assert (forall s tr s', exec A s tr s' -> forall done U, R s U -> (forall b, U b -> explains done b) ->
              exists U', R s' U' /\ forall b, U' b -> explains (done ++ tr) b) as Along.
    { clear s0 s tr H0 Hx. intros s tr s' Hx. induction Hx as [s|s l s' tr s'' T Hx IH]; intros done U HR HU.
      - exists U. rewrite app_nil_r. auto.
      - destruct (Step _ _ _ _ HR T) as (U' & HR' & HU').
        destruct (IH (done ++ visible l) U' HR') as (V & HV & HW).
        { intros b Hb. exact (explains_next HU (HU' _ Hb)). }
        exists V. split; [assumption|]. intros b Hb. rewrite app_assoc. exact (HW b Hb). }
    destruct (First _ H0) as (U & HR & HU).
    destruct (Along _ _ _ Hx [] U HR) as (V & HV & HW); [exact HU|].
    destruct (Inhabited _ _ HV) as (b & Hb). destruct (HW _ Hb) as (b0 & Hb0 & Hxb).
    exists b0, b. auto.
  Qed.

  (** The simulation that always works: all explanations of some trace to this state. *)
  Definition all_explanations (s : state A) (U : state B -> Prop) : Prop :=
    exists tr s0, initial A s0 /\ exec A s0 tr s /\ forall b, U b <-> explains tr b.

  Lemma exec_app_inv (C : lts L) tr tr' s s'' :
    exec C s (tr ++ tr') s'' -> exists s', exec C s tr s' /\ exec C s' tr' s''.
  Proof.
    intros H. remember (tr ++ tr') as whole eqn:E. revert tr E.
    induction H as [s|s [e|] s' w s'' T H IH]; intros tr E.
    - symmetry in E. apply app_eq_nil in E. destruct E as [-> ->]. exists s. split; constructor.
    - destruct tr as [|e' tr]; cbn in E.
      + exists s. split; [constructor|]. rewrite <- E. eapply exec_vis; eauto.
      + injection E as -> E. destruct (IH tr E) as (m & H1 & H2).
        exists m. split; [|assumption]. eapply exec_vis; eauto.
    - destruct (IH tr E) as (m & H1 & H2). exists m. split; [|assumption]. eapply exec_tau; eauto.
  Qed.

  Theorem set_simulation_complete : refines A B -> set_simulation all_explanations.
  Proof.
    intros Ref. constructor.
    - intros s Hs. exists possible_first. split; [|auto].
      exists [], s. split; [assumption|]. split; [constructor|]. intros b. reflexivity.
    - intros s l s' U (tr & s0 & H0 & Hx & HU) T. exists (explains (tr ++ visible l)). split.
      + exists (tr ++ visible l), s0. split; [assumption|]. split; [|reflexivity].
        exact (exec_app Hx (exec_one _ _ _ _ T)).
      + intros b (b0 & Hb0 & Hxb). apply exec_app_inv in Hxb. destruct Hxb as (m & H1 & H2).
        exists m. split; [apply HU; exists b0; auto|assumption].
    - intros s U (tr & s0 & H0 & Hx & HU).
      destruct (Ref tr) as (b0 & b & Hb0 & Hxb); [exists s0, s; auto|].
      exists b. apply HU. exists b0; auto.
  Qed.

  (** The everyday form: [may s k]: in [s] it may be guessed that [k]; [fits s k b]: then [b] explains the
      trace. *)
  Record foresight (K : Type) (may : state A -> K -> Prop)
      (fits : state A -> K -> state B -> Prop) : Prop := {
    foresight_first : forall s, initial A s ->
      (exists k, may s k) /\ forall k, may s k -> exists b, initial B b /\ fits s k b;
    foresight_step : forall s l s', (exists k, may s k) -> trans A s l s' ->
      (exists k, may s' k) /\
      forall k', may s' k' -> exists k, may s k /\
        forall b, fits s k b -> exists b', exec B b (visible l) b' /\ fits s' k' b'
  }.

  Theorem foresight_refines (K : Type) (may : state A -> K -> Prop) (fits : state A -> K -> state B -> Prop) :
    foresight may fits -> refines A B.
  Proof.
    intros [First Step].
    apply set_simulation_refines with
      (R := fun s U => (exists k, may s k) /\ forall k, may s k -> exists b, U b /\ fits s k b).
    constructor.
    - intros s Hs. destruct (First s Hs) as (Some & Each).
      exists possible_first. split; [|auto]. split; [exact Some|].
      intros k Hk. destruct (Each k Hk) as (b & Ib & Fb). exists b. split; [|exact Fb].
      exists b. split; [exact Ib|constructor].
    - intros s l s' U (Some & Each) T. destruct (Step _ _ _ Some T) as (Some' & Back).
      exists (possible_next U l). split; [|auto]. split; [exact Some'|].
      intros k' Hk'. destruct (Back k' Hk') as (k & Hk & Forward).
      destruct (Each k Hk) as (b & Ub & Fb). destruct (Forward b Fb) as (b' & X & Fb').
      exists b'. split; [|exact Fb']. exists b. auto.
    - intros s U ((k & Hk) & Each). destruct (Each k Hk) as (b & Ub & _). exists b. exact Ub.
  Qed.
End SetSimulation.
