(** Replay: is a recorded run of the Rust code one of the model of [src/strategy/spsc.rs]?

    [replay] follows a log of calls, accesses and returns through [tstep]: each access must be the step that
      the
    log says, and read and write the very words that it says ([value]). [replay_is_run]: an accepted log is a
    run of the model. So what it told its callers is what [late_queue] may tell ([replay_sound]), and, without
    closing and long runs, [atomic_queue] ([replay_atomic]).

    Idealised: the log is one order of accesses that really happened (the Rust recorder holds one lock across
    each). Payloads are no words of the log: they are written and read, in the model,
      just before the step that
    passes them on. The state is made of functions, so that a log of more than some ten thousand lines is
      slow.
    Threads are numbered below [threads]. A lease is one call from its claim to its commit. *)

From Coq Require Import List NArith Bool Lia.
Import ListNotations.
From Turtle.common Require Import Lts AtomicQueue.
From Turtle.spsc Require Import Model LateQueue Proof.
Local Open Scope N_scope.

Inductive event :=
| EPush (p : tid) (vs : list val) (again : bool)   (* [again]: by the straight way *)
| EPop (p : tid) (n : nat) (again : bool)
| ESeal (p : tid)
| ELook (p : tid)
| EAccess (p : tid) (k : step) (read new : N)   (* a load: [read] twice; a store: [new] twice *)
| EFence (p : tid) (k : step)
| EProducer (p : tid)                           (* a new handle, between its look and its return *)
| EConsumer (p : tid)
| ERet (p : tid) (r : res).

Section Replay.
Variables c d : N.
Variable heavy : bool.
Variable threads : nat.
Notation ring := (spsc_ring c d heavy).

Definition matches (a : acc) (read new : N) : bool :=
  match a with
  | OrSealed seen _ => (sealed_value seen =? read) && (value a =? new)
  | LoadPayload _ _ | StorePayload _ _ | Fence => false
  | _ => (value a =? new) && (read =? new)
  end.

Definition to (s : cstate) (p : tid) (x : pc) : cstate := {| the_ring := the_ring s;
  pcs := upd (pcs s) p x |}.

Definition moves (s : cstate) (p : tid) (k : move) (ok : acc -> bool) : option cstate :=
  match tstep c d heavy (the_ring s) (pcs s p) k with
  | Some (a, r, x) => if ok a then Some {| the_ring := r; pcs := upd (pcs s) p x |} else None
  | None => None
  end.

(** Payloads that are moved before this step. [fuel]: no more than these. *)
Definition due (s : cstate) (p : tid) (k : step) (new : N) : option move :=
  let r := the_ring s in
  match pcs s p, k with
  | PStart [_] _, PUSH_ENTER | PLooked [_] _, PUSH_ENTER => Some WRITE
  | PRun (_ :: _) _ _, PUSH_PUBLISH => if position (producer r) =? new / 2 then None else Some WRITE
  | CStart _ _, POP_RELEASE | CLooked _ _, POP_RELEASE | CReading (S _) _, POP_RELEASE => Some READ
  | _, _ => None
  end.
Fixpoint payloads_first (fuel : nat) (s : cstate) (p : tid) (k : step) (new : N) : option cstate :=
  match fuel, due s p k new with
  | S fuel, Some m =>
      match moves s p m (fun _ => true) with Some s => payloads_first fuel s p k new | None => None end
  | _, _ => Some s
  end.

Definition all_threads : list tid := map N.of_nat (seq 0 threads).
Definition known (p : tid) : bool := p <? N.of_nat threads.
Definition nobody (side : pc -> bool) (s : cstate) : bool := forallb (fun q => negb (side (pcs s q)))
  all_threads.
Definition is_idle (x : pc) : bool := match x with Idle => true | _ => false end.
Definition is_looking (x : pc) : bool := match x with Looking _ => true | _ => false end.

(** One line of the log; [None]: the model cannot do that. *)
Definition play (s : cstate) (e : event) : option cstate :=
  match e with
  | EPush p vs again =>
      if known p && is_idle (pcs s p) && nobody pushes s && negb (Nat.eqb (length vs) 0) &&
         (negb again || Nat.eqb (length vs) 1)
      then Some (to s p (PStart vs again)) else None
  | EPop p n again =>
      if known p && is_idle (pcs s p) && nobody pops s && negb (Nat.eqb n 0) && (negb again || Nat.eqb n 1)
      then Some (to s p (CStart n again)) else None
  | ESeal p => if known p && is_idle (pcs s p) then Some (to s p SStart) else None
  | ELook p => if known p && is_idle (pcs s p) then Some (to s p (Looking false)) else None
  | EAccess p k read new =>
      if known p then
        match payloads_first 4096 s p k new with
        | Some s => moves s p (At k) (fun a => matches a read new)
        | None => None
        end
      else None
  | EFence p k => if known p then moves s p (At k) (fun a => match a with Fence => true | _ => false end)
    else None
  | EProducer p =>
      if known p && is_looking (pcs s p) && nobody pushes s
      then Some {| the_ring := new_producer (the_ring s); pcs := pcs s |} else None
  | EConsumer p =>
      if known p && is_looking (pcs s p) && nobody pops s
      then Some {| the_ring := new_consumer (the_ring s); pcs := pcs s |} else None
  | ERet p r =>
      if known p then
        match answer (pcs s p) with
        | Some r' => if res_eqb r r' then Some (to s p Idle) else None
        | None => None
        end
      else None
  end.

(** [inr]: accepted; [inl]: the number of the first event that is no step of the model, and the state there.
  *)
Fixpoint replay (s : cstate) (n : N) (log : list event) : (N * cstate) + cstate :=
  match log with
  | [] => inr s
  | e :: log => match play s e with Some s => replay s (N.succ n) log | None => inl (n, s) end
  end.

Definition calls (e : event) : list ev :=
  match e with
  | EPush p vs _ => [Call p (Push (map Some vs))]
  | EPop p n _ => [Call p (Pop n)]
  | ESeal p => [Call p Seal]
  | ELook p => [Call p Look]
  | ERet p r => [Ret p r]
  | _ => []
  end.

(** An empty ring; [fence]: producers are asked to fence from the beginning. *)
Definition first_state (fence : bool) : cstate :=
  {| the_ring := {| shared := {| written := 0; deciding := false; taken := 0;
                                 sealed := {| marked := false; passed := false; fenced := fence;
                                              agreed := fence |};
                                 payloads := fun _ => 0 |};
                    producer := fresh 0; filling := false; consumer := fresh 0 |};
     pcs := fun _ => Idle |}.

(** * Soundness *)

Definition others_idle (s : cstate) : Prop := forall q, known q = false -> pcs s q = Idle.

Lemma nobody_all side s : side Idle = false -> others_idle s -> nobody side s = true ->
  forall q, side (pcs s q) = false.
Proof.
  intros Si O F q. destruct (known q) eqn:K; [|now rewrite O].
  unfold nobody in F. rewrite forallb_forall in F. apply negb_true_iff, F.
  apply in_map_iff. exists (N.to_nat q). unfold known in K. apply N.ltb_lt in K.
  split; [lia|]. apply in_seq. lia.
Qed.

Lemma others_upd s p r x : known p = true -> others_idle s ->
  others_idle {| the_ring := r; pcs := upd (pcs s) p x |}.
Proof.
  intros K O q Hq. cbn. rewrite upd_other; [now apply O|]. intros ->. congruence.
Qed.

Lemma moves_exec s p k ok s' : known p = true -> others_idle s -> moves s p k ok = Some s' ->
  exec ring s [] s' /\ others_idle s'.
Proof.
  intros K O H. unfold moves in H. destruct (tstep _ _ _ _ _ _) as [[[a r] x]|] eqn:E; [|discriminate].
  destruct (ok a); [|discriminate]. injection H as <-. split; [|now apply others_upd].
  exact (exec_one ring _ None _ (c_step _ _ _ _ _ _ _ _ _ E)).
Qed.

Lemma payloads_exec fuel : forall s p k new s', known p = true -> others_idle s ->
  payloads_first fuel s p k new = Some s' -> exec ring s [] s' /\ others_idle s'.
Proof.
  induction fuel as [|fuel IH]; intros s p k new s' K O H; cbn in H.
  - injection H as <-. split; [constructor|exact O].
  - destruct (due s p k new) as [m|]; [|injection H as <-; split; [constructor|exact O]].
    destruct (moves s p m _) as [s1|] eqn:M; [|discriminate].
    destruct (moves_exec _ _ _ _ _ K O M) as (X1 & O1). destruct (IH _ _ _ _ _ K O1 H) as (X2 & O2).
    split; [exact (exec_app X1 X2)|exact O2].
Qed.

Lemma is_idle_eq x : is_idle x = true -> x = Idle.
Proof. destruct x; cbn; congruence. Qed.

Lemma play_exec s e s' : others_idle s -> play s e = Some s' -> exec ring s (calls e) s' /\ others_idle s'.
Proof.
  intros O H. destruct e as [p vs again|p n again|p|p|p k rd new|p k|p|p|p r]; unfold play in H.
  - destruct (known p && _ && _ && _ && _) eqn:B; [|discriminate]. rewrite !andb_true_iff in B.
    destruct B as ((((L & Ei) & F) & V) & W). injection H as <-. split; [|now apply others_upd].
    apply (exec_one ring _ (Some (Call p (Push (map Some vs))))), c_push.
    + now apply is_idle_eq.
    + intros ->. discriminate V.
    + now apply nobody_all.
    + intros ->. now apply PeanoNat.Nat.eqb_eq in W.
  - destruct (known p && _ && _ && _ && _) eqn:B; [|discriminate]. rewrite !andb_true_iff in B.
    destruct B as ((((L & Ei) & F) & V) & W). injection H as <-. split; [|now apply others_upd].
    apply (exec_one ring _ (Some (Call p (Pop n)))), c_pop.
    + now apply is_idle_eq.
    + intros ->. discriminate V.
    + now apply nobody_all.
    + intros ->. now apply PeanoNat.Nat.eqb_eq in W.
  - destruct (known p && _) eqn:B; [|discriminate]. rewrite !andb_true_iff in B. destruct B as (L & Ei).
    injection H as <-. split; [|now apply others_upd].
    apply (exec_one ring _ (Some (Call p Seal))), c_seal. now apply is_idle_eq.
  - destruct (known p && _) eqn:B; [|discriminate]. rewrite !andb_true_iff in B. destruct B as (L & Ei).
    injection H as <-. split; [|now apply others_upd].
    apply (exec_one ring _ (Some (Call p Look))), c_look. now apply is_idle_eq.
  - destruct (known p) eqn:K; [|discriminate].
    destruct (payloads_first _ s p k new) as [s1|] eqn:E; [|discriminate].
    destruct (payloads_exec _ _ _ _ _ _ K O E) as (X1 & O1).
    destruct (moves_exec _ _ _ _ _ K O1 H) as (X2 & O2). split; [exact (exec_app X1 X2)|exact O2].
  - destruct (known p) eqn:K; [|discriminate]. exact (moves_exec _ _ _ _ _ K O H).
  - destruct (known p && _ && _) eqn:B; [|discriminate]. rewrite !andb_true_iff in B.
      destruct B as ((L & Lo) & F).
    injection H as <-. split; [|exact O]. destruct (pcs s p) eqn:Ep; try discriminate Lo.
    apply (exec_one ring _ None). eapply c_new_producer; [exact Ep|]. now apply nobody_all.
  - destruct (known p && _ && _) eqn:B; [|discriminate]. rewrite !andb_true_iff in B.
      destruct B as ((L & Lo) & F).
    injection H as <-. split; [|exact O]. destruct (pcs s p) eqn:Ep; try discriminate Lo.
    apply (exec_one ring _ None). eapply c_new_consumer; [exact Ep|]. now apply nobody_all.
  - destruct (known p) eqn:K; [|discriminate]. destruct (answer _) as [r'|] eqn:E; [|discriminate].
    destruct (res_eqb r r') eqn:Q; [|discriminate]. injection H as <-. apply res_eqb_eq in Q. subst r'.
    split; [|now apply others_upd]. apply (exec_one ring _ (Some (Ret p r))), c_ret. exact E.
Qed.

Lemma replay_exec log : forall s n s', others_idle s -> replay s n log = inr s' ->
  exec ring s (flat_map calls log) s'.
Proof.
  induction log as [|e log IH]; cbn; intros s n s' O E.
  - injection E as <-. constructor.
  - destruct (play s e) as [s1|] eqn:P; [|discriminate]. destruct (play_exec _ _ _ O P) as (X1 & O1).
    exact (exec_app X1 (IH _ _ _ O1 E)).
Qed.

Theorem replay_is_run fence log s : replay (first_state fence) 0 log = inr s ->
  is_trace ring (flat_map calls log).
Proof.
  intros E. exists (first_state fence), s. split; [repeat split|].
  apply (replay_exec log _ 0); [|exact E]. intros q _. reflexivity.
Qed.

Theorem replay_sound fence log s : 1 <= c -> 1 <= d -> replay (first_state fence) 0 log = inr s ->
  is_trace (late_queue c d heavy) (flat_map calls log).
Proof. intros Hc Hd E. apply spsc_late; auto. eapply replay_is_run; eauto. Qed.

Theorem replay_atomic fence log s : 1 <= c -> 1 <= d -> replay (first_state fence) 0 log = inr s ->
  plain_calls d (flat_map calls log) -> is_trace (atomic_queue c) (flat_map calls log).
Proof. intros Hc Hd E. apply (spsc_linearizable c d heavy Hc Hd). eapply replay_is_run; eauto. Qed.
End Replay.
