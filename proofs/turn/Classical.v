(** Why the ring looks again: the classical ring is no queue.

    In the published ring a pop that finds its slot not yet full answers
    [Empty] at once, and a push that finds it not yet free answers [Full].
    [classical_ring c] is the ring of [Model.v] with those answers added.

    - [classical_ring_is_wrong]: it has a history in which a pop hears [Empty]
      after a push has returned and nothing was popped. Another push has the
      ticket before and stands still.
    - [no_queue_is_so]: no atomic queue, of any capacity, has that history.

    So the classical ring does not refine the queue ([classical_refuted]); the
    ring with its second look does ([turn_linearizable]). *)

From Coq Require Import List NArith Lia.
Import ListNotations.
From Turtle.common Require Import Lts AtomicQueue Replay.
From Turtle.turn Require Import Model Proof.
Local Open Scope N_scope.

(** The ring's own steps, and the hasty answers. *)
Inductive hasty c : cstate (places c) -> option ev -> cstate (places c) -> Prop :=
| h_step s l s' : ctrans (places c) s l s' -> hasty c s l s'
| h_empty s p n h x : pcs s p = CStale n h x ->
    hasty c s (Some (Ret p Empty)) {| memory := memory s; pcs := upd (pcs s) p Idle |}
| h_full s p cs t x : pcs s p = PStale cs t x ->
    hasty c s (Some (Ret p Full)) {| memory := memory s; pcs := upd (pcs s) p Idle |}.

Definition classical_ring (c : N) : lts ev :=
  {| state := cstate (places c); initial := initial (turn_ring c); trans := hasty c |}.

(** Thread 0 has called and stands still; thread 1 has pushed; thread 2 pops. *)
Definition before : list ev := [Call 0 (push1 1); Call 1 (push1 2); Ret 1 (Pushed 1); Call 2 pop1].
Definition history : list ev := before ++ [Ret 2 Empty].

(** The same as a log, up to the pop's look at the slot of thread 0. *)
Definition stalled : list event :=
  [ECall 0 (push1 1);
   EAccess 0 PUSH_TICKET AtPush (Load 0); EAccess 0 PUSH_TURN (AtTurn 0) (Load 0);
   EAccess 0 PUSH_CLAIM AtPush (Cas true 0 4);
   ECall 1 (push1 2);
   EAccess 1 PUSH_TICKET AtPush (Load 4); EAccess 1 PUSH_TURN (AtTurn 1) (Load 4);
   EAccess 1 PUSH_CLAIM AtPush (Cas true 4 8); EAccess 1 PUSH_PUBLISH (AtTurn 1) (Store 5);
   ERet 1 (Pushed 1);
   ECall 2 pop1;
   EAccess 2 POP_TICKET AtPop (Load 0); EAccess 2 POP_TURN (AtTurn 0) (Load 0)].

Lemma hasty_exec c s tr s' : exec (turn_ring c) s tr s' -> exec (classical_ring c) s tr s'.
Proof.
  induction 1 as [s|s l s' tr s'' T X IH]; [constructor|].
  eapply (exec_step (A := classical_ring c)); [apply h_step; exact T|exact IH].
Qed.

Theorem classical_ring_is_wrong : is_trace (classical_ring 2) history.
Proof.
  destruct (replay 2 (first_state 2) 0 stalled) as [n|r] eqn:E; [vm_compute in E; discriminate E|].
  set (s0 := {| memory := memory_of 2 (first_state 2); pcs := fun _ => Idle |} : cstate (places 2)).
  assert (holds 2 (first_state 2) s0) as H.
  { constructor; auto; intros p; cbn; unfold pc_of, get; cbn; now rewrite M.gempty. }
  destruct (replay_exec _ _ _ _ _ _ H E) as (s & X & Hs).
  assert (pcs s 2 = @CStale (places 2) 1 (false, 0) ((false, 0), Free)) as P.
  { rewrite (h_pcs _ _ _ Hs). vm_compute in E. injection E as <-. reflexivity. }
  exists s0, {| memory := memory s; pcs := upd (pcs s) 2 Idle |}. split.
  { repeat split. intros j. cbn. unfold get. now rewrite M.gempty. }
  refine (exec_app (hasty_exec _ _ _ _ X) _ : exec (classical_ring 2) s0 (before ++ _) _).
  eapply exec_vis; [eapply (h_empty 2); exact P|constructor].
Qed.

(** * No queue has this history *)

(** A thread that pushes one element, or does nothing. *)
Definition pushes (x : stat) : Prop :=
  match x with
  | Outside | Called (Push [Some _]) | Done (Pushed _) | Done Full | Done Busy => True
  | _ => False
  end.

(** Open, and elements only inside. *)
Definition plain_items (s : astate) : Prop := closed s = false /\ forall x, In x (items s) -> x <> None.

(** Nobody has popped: who has pushed finds the queue not empty. *)
Definition filled (s : astate) : Prop :=
  plain_items s /\ (forall p, pushes (status s p)) /\
  forall p n, status s p = Done (Pushed n) -> items s <> [].

(** Thread 2 pops, alone: it has an element, or there is one for it. *)
Definition finds (s : astate) : Prop :=
  plain_items s /\ (forall p, p <> 2 -> pushes (status s p)) /\
  ((status s 2 = Called pop1 /\ items s <> []) \/ (exists vs, status s 2 = Done (Popped vs)) \/
   status s 2 = Done Busy).

(** What the effect of such a push comes to. *)
Lemma push_effect c s p o r q b :
  plain_items s -> pushes (Called o) -> effect c s p o r q b ->
  b = false /\ (forall x, In x q -> x <> None) /\ pushes (Done r) /\ (items s <> [] -> q <> []) /\
  (forall n, r = Pushed n -> q <> []).
Proof.
  intros (C & V) P F. destruct o as [[|[v|] [|]]| | |]; cbn in P; try tauto.
  inversion F; subst; try congruence; cbn.
  - repeat split; auto.
    + intros x Hx. apply in_app_or in Hx. destruct Hx as [Hx|Hx]; auto.
      destruct k as [|[|k]]; cbn in Hx; try tauto; destruct Hx as [<-|Hx]; try discriminate; destruct Hx.
    + intros N Z. apply app_eq_nil in Z. tauto.
    + intros n _ Z. apply app_eq_nil in Z. destruct Z as [_ Z]. destruct k; [lia|discriminate Z].
  - repeat split; auto. discriminate.
  - repeat split; auto. discriminate.
Qed.

Lemma filled_tau c s s' : filled s -> atrans c s None s' ->
  filled s' /\ (items s <> [] -> items s' <> []).
Proof.
  intros (V & P & F) T. inversion T as [|? p o r q b E X|? p o q E X|? p o E|]; subst.
  - pose proof (P p) as Pp. rewrite E in Pp.
    destruct (push_effect _ _ _ _ _ _ _ V Pp X) as (-> & U & W & Y & Z).
    split; [|exact Y]. split; [split; [reflexivity|exact U]|]. split.
    + intros y. cbn. unfold upd. destruct (N.eqb_spec y p); auto.
    + intros y n. cbn. unfold upd. destruct (N.eqb_spec y p); intros K; [inversion K; eauto|].
      apply Y. eapply F. exact K.
  - exfalso. apply (proj2 V None); [|reflexivity]. rewrite X. now left.
  - pose proof (P p) as Pp. rewrite E in Pp. destruct Pp.
Qed.

Lemma finds_tau c s s' : finds s -> atrans c s None s' -> finds s'.
Proof.
  intros (V & P & K) T. inversion T as [|? p o r q b E X|? p o q E X|? p o E|]; subst.
  - destruct (N.eq_dec p 2) as [->|N].
    + destruct K as [[K1 K2]|[[vs K]|K]]; try congruence. rewrite E in K1. inversion K1; subst o.
      destruct V as [V1 V2]. inversion X; subst; try congruence.
      * split; [split; [exact V1|]|split].
        -- intros x Hx. apply V2. match goal with U : items s = _ |- _ => rewrite U end.
           apply in_or_app. now right.
        -- intros y Ny. cbn. rewrite upd_other by auto. auto.
        -- right. left. cbn. eauto.
      * split; [split; assumption|split].
        -- intros y Ny. cbn. rewrite upd_other by auto. auto.
        -- right. right. reflexivity.
    + pose proof (P p N) as Pp. rewrite E in Pp.
      destruct (push_effect _ _ _ _ _ _ _ V Pp X) as (-> & U & W & Y & _).
      split; [split; [reflexivity|exact U]|split].
      * intros y Ny. cbn. unfold upd. destruct (N.eqb_spec y p); auto.
      * cbn. rewrite upd_other by auto. destruct K as [[K1 K2]|K]; [left|right; exact K]. auto.
  - exfalso. apply (proj2 V None); [|reflexivity]. rewrite X. now left.
  - destruct (N.eq_dec p 2) as [->|N].
    + destruct K as [[K1 _]|[[vs K]|K]]; congruence.
    + pose proof (P p N) as Pp. rewrite E in Pp. destruct Pp.
Qed.

(** The next visible step, and what holds just before it. *)
Lemma next_visible c (I : astate -> Prop) s e tr s' :
  (forall a b, I a -> atrans c a None b -> I b) -> I s ->
  exec (atomic_queue c) s (e :: tr) s' ->
  exists a b, I a /\ atrans c a (Some e) b /\ exec (atomic_queue c) b tr s'.
Proof.
  intros HI Hs X. remember (e :: tr) as l eqn:L. revert Hs L.
  induction X as [|a k b t d T X IH]; intros Hs L; [discriminate L|].
  destruct k as [e'|]; cbn in L.
  - inversion L; subst. eauto.
  - apply IH; auto. eapply HI; eauto.
Qed.

Theorem no_queue_is_so c : ~ is_trace (atomic_queue c) history.
Proof.
  intros (s0 & s & (Q0 & C0 & T0) & X). unfold history, before in X. cbn [app] in X.
  assert (filled s0) as J.
  { split; [split; [exact C0|rewrite Q0; intros x []]|].
    split; intros p; rewrite T0; [exact I|discriminate]. }
  assert (forall a b, filled a -> atrans c a None b -> filled b) as P0
    by (intros a b Ha T; edestruct filled_tau; eauto).
  assert (forall a b, filled a /\ items a <> [] -> atrans c a None b -> filled b /\ items b <> []) as P1.
  { intros a b [A B] T. destruct (filled_tau _ _ _ A T). auto. }
  assert (forall a p v, filled a -> filled {| items := items a; closed := closed a;
    status := upd (status a) p (Called (push1 v)) |}) as called.
  { intros a p v (V & P & F). split; [exact V|]. split; cbn.
    - intros y. unfold upd. destruct (N.eqb_spec y p); [exact I|apply P].
    - intros y n. unfold upd. destruct (N.eqb_spec y p); [discriminate|apply F]. }
  (* both pushes are called *)
  destruct (next_visible _ _ _ _ _ _ P0 J X) as (a & b & Ja & T & X1).
  inversion T; subst; clear T X. apply (called _ 0 1) in Ja.
  destruct (next_visible _ _ _ _ _ _ P0 Ja X1) as (a1 & b1 & Ja1 & T & X2).
  inversion T; subst; clear T X1. apply (called _ 1 2) in Ja1.
  (* one returns *)
  destruct (next_visible _ _ _ _ _ _ P0 Ja1 X2) as (a2 & b2 & (V2 & S2 & F2) & T & X3).
  inversion T as [| | | |? p r E]; subst; clear T X2.
  assert (items a2 <> []) as N2 by (eapply F2; exact E).
  eapply (next_visible c (fun x => filled x /\ items x <> [])) in X3; [|exact P1|].
  2:{ split; [|exact N2]. split; [exact V2|]. split; cbn.
      - intros y. unfold upd. destruct (N.eqb_spec y 1); [exact I|apply S2].
      - intros y n _. exact N2. }
  destruct X3 as (a3 & b3 & [(V3 & S3 & _) N3] & T & X4). inversion T; subst; clear T.
  (* the pop is called, and answers *)
  eapply (next_visible c finds) in X4; [|apply finds_tau|].
  2:{ split; [exact V3|]. split; cbn.
      - intros y Ny. rewrite upd_other by auto. apply S3.
      - left. cbn. auto. }
  destruct X4 as (a4 & b4 & (_ & _ & K) & T & _). inversion T as [| | | |? p r E4]; subst.
  destruct K as [[K _]|[[vs K]|K]]; congruence.
Qed.

Theorem classical_refuted c : ~ refines (classical_ring 2) (atomic_queue c).
Proof. intros H. exact (no_queue_is_so c (H _ classical_ring_is_wrong)). Qed.
