(** Replay: is a recorded run of the Rust code one of the model?

    [play] follows a log of calls, accesses and returns through the step
    function of [turn/Model.v]: each access must be the step that the log says,
    at the word that it says, reading and writing the very words. [replay_sound]:
    the calls and returns of an accepted log are a history of [atomic_queue].
    So an accepted run needs no search for a linearization.

    The words of the log are compared with [word_of] and [turn_word], the
    encoding of the Rust file ([sealed:1 | lap | index | 00], plus the phase).

    Idealised: the log is one order of accesses that really happened (the Rust
    recorder holds one lock across each). Payloads are no words of the log: they
    are written and read, in the model, just before the step that passes the
    slot on. Positions do not wrap: a run of 2^60 pushes is rejected.

    Trusted besides Coq: the extraction, and the driver that reads the lines. *)

From Coq Require Import List NArith PArith Bool FMapPositive Lia.
Import ListNotations.
From Turtle.common Require Import Lts AtomicQueue.
From Turtle.turn Require Import Model Proof.
Local Open Scope N_scope.

Module M := PositiveMap.

(** * The log *)

Inductive loc := AtPush | AtPop | AtTurn (j : N).

Inductive access :=
| Load (read : N)
| Store (written : N)
| Cas (done : bool) (read written : N)
| Or (read written : N).

Inductive event :=
| ECall (p : tid) (o : op)
| EAccess (p : tid) (k : step) (l : loc) (x : access)
| EFence (p : tid) (k : step)
| ERet (p : tid) (r : res).

Section Replay.
Variable c : N.
Notation arith := (places c).
Notation pc := (pc arith).
Notation turn := (turn arith).

(** * Words as in Rust *)

(** From one lap to the next: the index has as many bits as [c - 1]. *)
Definition one_lap : N := 4 * 2 ^ N.size (c - 1).
Definition word_of (t : place) : N :=
  (snd t / c) * one_lap + (snd t mod c) * 4 + (if fst t then 2 ^ 63 else 0).
Definition phase_word (ph : phase) : N := match ph with Free => 0 | Filled => 1 | Void => 2 end.
Definition turn_word (x : turn) : N := word_of (fst x) + phase_word (snd x).

Definition loc_eqb (a b : loc) : bool :=
  match a, b with
  | AtPush, AtPush | AtPop, AtPop => true
  | AtTurn i, AtTurn j => i =? j
  | _, _ => false
  end.

(** Does the access of the model read and write what the log says, where it says? *)
Definition matches (a : acc arith) (l : loc) (x : access) : bool :=
  match a, x with
  | LoadPush t, Load r => loc_eqb l AtPush && (r =? word_of t)
  | LoadPop t, Load r => loc_eqb l AtPop && (r =? word_of t)
  | LoadTurn j y, Load r => loc_eqb l (AtTurn j) && (r =? turn_word y)
  | CasPush done seen new, Cas d r w =>
      loc_eqb l AtPush && eqb done d && (r =? word_of seen) && (w =? word_of new)
  | CasPop done seen new, Cas d r w =>
      loc_eqb l AtPop && eqb done d && (r =? word_of seen) && (w =? word_of new)
  | OrPush seen new, Or r w => loc_eqb l AtPush && (r =? word_of seen) && (w =? word_of new)
  | StoreTurn j y, Store w => loc_eqb l (AtTurn j) && (w =? turn_word y)
  | _, _ => false
  end.

Definition slot_of (l : loc) : N := match l with AtTurn j => j | _ => 0 end.

(** * The state, in maps; what is not there is as at the beginning *)
Record rstate := {
  rpush : place;
  rpop : place;
  rturns : M.t turn;
  rpayloads : M.t val;
  rpcs : M.t pc
}.

Definition key (n : N) : positive := N.succ_pos n.
Definition get {B} (m : M.t B) (n : N) (d : B) : B :=
  match M.find (key n) m with Some x => x | None => d end.
Definition put {B} (m : M.t B) (n : N) (x : B) : M.t B := M.add (key n) x m.

Definition memory_of (r : rstate) : mem arith :=
  {| push := (rpush r : tick arith); pop := (rpop r : tick arith);
     turns := fun j => get (rturns r) j ((false, j), Free);
     payloads := fun j => get (rpayloads r) j 0 |}.
Definition pc_of (r : rstate) (p : tid) : pc := get (rpcs r) p Idle.

Definition go_to (r : rstate) (p : tid) (x : pc) : rstate :=
  {| rpush := rpush r; rpop := rpop r; rturns := rturns r; rpayloads := rpayloads r;
     rpcs := put (rpcs r) p x |}.

Definition does (a : acc arith) (r : rstate) : rstate :=
  match a with
  | CasPush true _ new | OrPush _ new =>
      {| rpush := new; rpop := rpop r; rturns := rturns r; rpayloads := rpayloads r; rpcs := rpcs r |}
  | CasPop true _ new =>
      {| rpush := rpush r; rpop := new; rturns := rturns r; rpayloads := rpayloads r; rpcs := rpcs r |}
  | StoreTurn j x =>
      {| rpush := rpush r; rpop := rpop r; rturns := put (rturns r) j x; rpayloads := rpayloads r;
         rpcs := rpcs r |}
  | StorePayload j v =>
      {| rpush := rpush r; rpop := rpop r; rturns := rturns r; rpayloads := put (rpayloads r) j v;
         rpcs := rpcs r |}
  | _ => r
  end.

(** One move of a thread; [ok] judges the access. *)
Definition moves (r : rstate) (p : tid) (k : move) (ok : acc arith -> bool) : option rstate :=
  match tstep arith (memory_of r) (pc_of r p) k with
  | Some (a, x) => if ok a then Some (go_to (does a r) p x) else None
  | None => None
  end.

(** The payload is moved when the slot is about to be passed on. *)
Definition payload_first (r : rstate) (p : tid) (k : step) : option rstate :=
  match pc_of r p, k with
  | PHold _ (Some _ :: _) _, PUSH_PUBLISH => moves r p WRITE (fun _ => true)
  | CHold _ (S _) _, POP_RECYCLE => moves r p READ (fun _ => true)
  | _, _ => Some r
  end.

Definition is_fence (a : acc arith) : bool := match a with Fence => true | _ => false end.

(** One line of the log; [None]: the model cannot do that. *)
Definition play (r : rstate) (e : event) : option rstate :=
  match e with
  | ECall p o =>
      match pc_of r p with
      | Idle => if asks o then Some (go_to r p (start arith o)) else None
      | _ => None
      end
  | EAccess p k l x =>
      match payload_first r p k with
      | Some r => moves r p (At k (slot_of l)) (fun a => matches a l x)
      | None => None
      end
  | EFence p k => moves r p (At k 0) is_fence
  | ERet p a =>
      match answer arith (pc_of r p) with
      | Some b => if res_eqb a b then Some (go_to r p Idle) else None
      | None => None
      end
  end.

Definition first_state : rstate :=
  {| rpush := (false, 0); rpop := (false, 0); rturns := M.empty _; rpayloads := M.empty _;
     rpcs := M.empty _ |}.

(** [inr]: accepted, with the last state; [inl]: the number of the first event
    that is no step of the model, and the state before it. *)
Fixpoint replay (r : rstate) (n : N) (log : list event) : (N * rstate) + rstate :=
  match log with
  | [] => inr r
  | e :: log =>
      match play r e with
      | Some r => replay r (N.succ n) log
      | None => inl (n, r)
      end
  end.

Definition calls (e : event) : list ev :=
  match e with ECall p o => [Call p o] | ERet p a => [Ret p a] | _ => [] end.

(** * Soundness *)

Lemma get_put {B} (m : M.t B) i x j d : get (put m i x) j d = if j =? i then x else get m j d.
Proof.
  unfold get, put. destruct (N.eqb_spec j i) as [->|N].
  - now rewrite M.gss.
  - rewrite M.gso; [reflexivity|]. unfold key. intros E. apply N.
    apply (f_equal Npos) in E. rewrite !N.succ_pos_spec in E. lia.
Qed.

(** The maps hold what the state of the model holds. *)
Record holds (r : rstate) (s : cstate arith) : Prop := {
  h_push : push (memory s) = rpush r;
  h_pop : pop (memory s) = rpop r;
  h_turns : forall j, turns (memory s) j = turns (memory_of r) j;
  h_payloads : forall j, payloads (memory s) j = payloads (memory_of r) j;
  h_pcs : forall p, pcs s p = pc_of r p
}.

(** The step function looks at single words. *)
Lemma tstep_same (m m' : mem arith) x k :
  push m = push m' -> pop m = pop m' -> (forall j, turns m j = turns m' j) ->
  (forall j, payloads m j = payloads m' j) -> tstep arith m x k = tstep arith m' x k.
Proof.
  intros A B C D. destruct k as [k j| |].
  - destruct x as [| |cs t [|i]| | | | | | | | | |t [|[v|] todo] n| | |n h [|i]| | | | | | | | | | |];
      destruct k; try reflexivity;
      cbn [tstep push_step pop_step idle]; unfold push_look, pop_look, push_ticket, pop_ticket;
      rewrite ?A, ?B, ?C; try reflexivity.
  - reflexivity.
  - destruct x; try reflexivity. cbn. destruct k; [reflexivity|]. now rewrite D.
Qed.

Lemma holds_go r s p x : holds r s -> holds (go_to r p x) {| memory := memory s; pcs := upd (pcs s) p x |}.
Proof.
  intros H. destruct H. constructor; auto. intros q. cbn. unfold pc_of. cbn. rewrite get_put.
  unfold upd. destruct (q =? p); auto. apply h_pcs0.
Qed.

Lemma holds_does r s a :
  holds r s -> holds (does a r) {| memory := apply a (memory s); pcs := pcs s |}.
Proof.
  intros H. destruct H. destruct a as [| | |[] ? ?|[] ? ?|? ?|j x| |j v|]; cbn; constructor; cbn;
    auto; try exact h_turns0; try exact h_payloads0.
  - intros i. rewrite get_put. unfold upd. destruct (i =? j); auto. apply h_turns0.
  - intros i. rewrite get_put. unfold upd. destruct (i =? j); auto. apply h_payloads0.
Qed.

Lemma moves_exec r s p k ok r' : holds r s -> moves r p k ok = Some r' ->
  exists s', exec (turn_ring c) s [] s' /\ holds r' s'.
Proof.
  intros H E. unfold moves in E. destruct (tstep _ _ _ _) as [[a x]|] eqn:T; [|discriminate].
  destruct (ok a); inversion E; subst. clear E.
  exists {| memory := apply a (memory s); pcs := upd (pcs s) p x |}. split.
  - eapply exec_tau; [|constructor]. eapply c_step. rewrite (h_pcs _ _ H).
    rewrite <- T. apply tstep_same; apply H.
  - exact (holds_go _ _ p x (holds_does _ _ a H)).
Qed.

Lemma play_exec r s e r' : holds r s -> play r e = Some r' ->
  exists s', exec (turn_ring c) s (calls e) s' /\ holds r' s'.
Proof.
  intros H E. destruct e as [p o|p k l x|p k|p a]; cbn in E |- *.
  - destruct (pc_of r p) eqn:P; try discriminate E. destruct (asks o) eqn:A; inversion E; subst.
    eexists. split;
      [eapply exec_vis; [apply c_call; [rewrite (h_pcs _ _ H); exact P|exact A]|constructor]|].
    now apply holds_go.
  - destruct (payload_first r p k) as [r1|] eqn:F; [|discriminate E].
    assert (exists s1, exec (turn_ring c) s [] s1 /\ holds r1 s1) as (s1 & X1 & H1).
    { assert (r1 = r \/ exists k', moves r p k' (fun _ => true) = Some r1) as [->|[k' M']].
      { unfold payload_first in F. destruct (pc_of r p)
          as [| | | | | | | | | | | |? todo ?| | | | | | | | | |? k' ?| | | |];
          try (inversion F; auto; fail).
        - destruct todo as [|[] ?]; destruct k; try (inversion F; auto; fail); eauto.
        - destruct k'; destruct k; try (inversion F; auto; fail); eauto. }
      - exists s. split; [constructor|exact H].
      - eapply moves_exec; eauto. }
    destruct (moves_exec _ _ _ _ _ _ H1 E) as (s2 & X2 & H2).
    exists s2. split; [exact (exec_app X1 X2)|exact H2].
  - eapply moves_exec; eauto.
  - destruct (answer _ _) as [b|] eqn:A; [|discriminate E]. destruct (res_eqb a b) eqn:B; inversion E; subst.
    apply res_eqb_eq in B. subst b.
    eexists. split;
      [eapply exec_vis; [apply c_ret; rewrite (h_pcs _ _ H); exact A|constructor]|].
    now apply holds_go.
Qed.

Lemma replay_exec log : forall r s n r', holds r s -> replay r n log = inr r' ->
  exists s', exec (turn_ring c) s (flat_map calls log) s' /\ holds r' s'.
Proof.
  induction log as [|e log IH]; cbn; intros r s n r' H E.
  - inversion E; subst. exists s. split; [constructor|exact H].
  - destruct (play r e) as [r1|] eqn:P; [|discriminate E].
    destruct (play_exec _ _ _ _ H P) as (s1 & X1 & H1). destruct (IH _ _ _ _ H1 E) as (s2 & X2 & H2).
    exists s2. split; [exact (exec_app X1 X2)|exact H2].
Qed.

(** An accepted log is a run of the model. *)
Theorem replay_is_run log r : replay first_state 0 log = inr r ->
  is_trace (turn_ring c) (flat_map calls log).
Proof.
  intros E.
  set (s0 := {| memory := {| push := (false, 0) : tick arith; pop := (false, 0) : tick arith;
                             turns := fun j => ((false, j), Free) : turn; payloads := fun _ => 0 |};
                pcs := fun _ => Idle |}).
  assert (holds first_state s0) as H.
  { constructor; auto; intros j; cbn; unfold get, pc_of, get; cbn; now rewrite M.gempty. }
  destruct (replay_exec _ _ _ _ _ H E) as (s & X & _).
  exists s0, s. split; [|exact X]. repeat split.
Qed.

(** And what it told its callers is what a bounded FIFO queue may tell them. *)
Theorem replay_sound log r : 1 <= c -> replay first_state 0 log = inr r ->
  is_trace (atomic_queue c) (flat_map calls log).
Proof. intros Hc E. apply turn_linearizable; [exact Hc|]. eapply replay_is_run; eauto. Qed.
End Replay.
