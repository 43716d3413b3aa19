(** What the ring of one producer and one consumer really does, on the two points in which it is not the
    queue of [AtomicQueue.v].

    Proved, by running the model ([play]; a schedule is a list of whose turn it is and for what step):
    - [run_is_seen_in_pieces]: a consumer may pop the beginning of a run longer than a piece, and then hear
      [Empty], before the push of the run returns;
    - [empty_after_closed]: a consumer that has been told [Closed] may hear [Empty] again, while a push is
      about to be refused;
    - [accepted_after_mark]: a seal that answers "not complete" is followed by a push that is accepted, and
      meanwhile pops hear [Empty];
    and that the atomic queue, of any capacity, never does the second: [atomic_stays_closed].

    The first is written in the step table of [src/strategy/spsc.rs], the others under *Progress* there and
    in [docs/guarantees.md]. *)
From Coq Require Import List NArith Bool Lia.
Import ListNotations.
From Turtle.common Require Import Lts AtomicQueue SetSimulation.
From Turtle.spsc Require Import Model.
Local Open Scope N_scope.

(** * Playing a schedule of three threads *)

Inductive turn :=
| Pushing (p : tid) (vs : list val)
| Popping (p : tid) (n : nat)
| Sealing (p : tid)
| Does (p : tid) (k : move)
| Returns (p : tid) (r : res).

Section Play.
  Variables c d : N.
  Notation ring := (spsc_ring c d true).

  Definition threads : list tid := [0; 1; 2].
  Definition free (side : pc -> bool) (s : cstate) : bool := forallb (fun q => negb (side (pcs s q))) threads.
  Definition is_idle (x : pc) : bool := match x with Idle => true | _ => false end.
  Definition to (s : cstate) (p : tid) (x : pc) : cstate := {| the_ring := the_ring s;
    pcs := upd (pcs s) p x |}.

  Definition play1 (s : cstate) (t : turn) : option (list ev * cstate) :=
    match t with
    | Pushing p vs =>
        if (p <? 3) && is_idle (pcs s p) && free pushes s && negb (match vs with [] => true | _ => false end)
        then Some ([Call p (Push (map Some vs))], to s p (PStart vs false)) else None
    | Popping p n =>
        if (p <? 3) && is_idle (pcs s p) && free pops s && negb (Nat.eqb n 0)
        then Some ([Call p (Pop n)], to s p (CStart n false)) else None
    | Sealing p =>
        if (p <? 3) && is_idle (pcs s p) then Some ([Call p Seal], to s p SStart) else None
    | Does p k =>
        if p <? 3 then
          match tstep c d true (the_ring s) (pcs s p) k with
          | Some (_, r, x) => Some ([], {| the_ring := r; pcs := upd (pcs s) p x |})
          | None => None
          end
        else None
    | Returns p r =>
        if p <? 3 then
          match answer (pcs s p) with
          | Some r' => if res_eqb r r' then Some ([Ret p r'], to s p Idle) else None
          | None => None
          end
        else None
    end.

  Fixpoint play (s : cstate) (ts : list turn) : option (list ev * cstate) :=
    match ts with
    | [] => Some ([], s)
    | t :: ts =>
        match play1 s t with
        | Some (tr, s1) => match play s1 ts with Some (tr', s2) => Some (tr ++ tr', s2) | None => None end
        | None => None
        end
    end.

  Definition others_idle (s : cstate) : Prop := forall q, 3 <= q -> pcs s q = Idle.

  Lemma free_all side s : side Idle = false -> others_idle s -> free side s = true ->
    forall q, side (pcs s q) = false.
  Proof.
    intros Si O F q. destruct (N.le_gt_cases 3 q) as [L|L]; [now rewrite O|].
    unfold free in F. rewrite forallb_forall in F. apply negb_true_iff, F.
    assert (q = 0 \/ q = 1 \/ q = 2) as [->|[->| ->]] by lia; cbn; auto.
  Qed.

  Lemma others_upd s p r x : p < 3 -> others_idle s -> others_idle {| the_ring := r;
    pcs := upd (pcs s) p x |}.
  Proof. intros L O q Hq. cbn. rewrite upd_other by lia. now apply O. Qed.

  Lemma is_idle_eq x : is_idle x = true -> x = Idle.
  Proof. destruct x; cbn; congruence. Qed.

  Lemma play1_exec s t tr s' : others_idle s -> play1 s t = Some (tr, s') ->
    exec ring s tr s' /\ others_idle s'.
  Proof.
    intros O H. destruct t as [p vs|p n|p|p k|p r]; unfold play1 in H.
    - destruct ((p <? 3) && _ && _ && _) eqn:B; [|discriminate]. rewrite !andb_true_iff in B.
      destruct B as (((L & Ei) & F) & V). injection H as <- <-.
      apply N.ltb_lt in L. split; [|now apply others_upd].
      apply (exec_one ring _ (Some (Call p (Push (map Some vs))))), c_push; try discriminate.
      + now apply is_idle_eq.
      + intros ->. discriminate V.
      + now apply free_all.
    - destruct ((p <? 3) && _ && _ && _) eqn:B; [|discriminate]. rewrite !andb_true_iff in B.
      destruct B as (((L & Ei) & F) & V). injection H as <- <-.
      apply N.ltb_lt in L. split; [|now apply others_upd].
      apply (exec_one ring _ (Some (Call p (Pop n)))), c_pop; try discriminate.
      + now apply is_idle_eq.
      + intros ->. discriminate V.
      + now apply free_all.
    - destruct ((p <? 3) && _) eqn:B; [|discriminate]. rewrite !andb_true_iff in B.
      destruct B as (L & Ei). injection H as <- <-.
      apply N.ltb_lt in L. split; [|now apply others_upd].
      apply (exec_one ring _ (Some (Call p Seal))), c_seal. now apply is_idle_eq.
    - destruct (p <? 3) eqn:L; [|discriminate].
      destruct (tstep _ _ _ _ _ _) as [[[a r] x]|] eqn:E; [|discriminate]. injection H as <- <-.
      apply N.ltb_lt in L. split; [|now apply others_upd].
      apply (exec_one ring _ None), (c_step _ _ _ _ _ _ _ _ _ E).
    - destruct (p <? 3) eqn:L; [|discriminate]. destruct (answer _) as [r'|] eqn:E; [|discriminate].
      destruct (res_eqb _ _); [|discriminate]. injection H as <- <-.
      apply N.ltb_lt in L. split; [|now apply others_upd].
      apply (exec_one ring _ (Some (Ret p r'))), c_ret. exact E.
  Qed.

  Lemma play_exec ts : forall s tr s', others_idle s -> play s ts = Some (tr, s') -> exec ring s tr s'.
  Proof.
    induction ts as [|t ts IH]; intros s tr s' O H; cbn in H.
    - injection H as <- <-. constructor.
    - destruct (play1 s t) as [[tr1 s1]|] eqn:E; [|discriminate].
      destruct (play s1 ts) as [[tr2 s2]|] eqn:E2; [|discriminate]. injection H as <- <-.
      destruct (play1_exec _ _ _ _ O E) as (X & O1). exact (exec_app X (IH _ _ _ O1 E2)).
  Qed.

  Definition empty_ring : cstate :=
    {| the_ring := {| shared := {| written := 0; deciding := false; taken := 0;
                                   sealed := {| marked := false; passed := false; fenced := false;
                                                agreed := false |};
                                   payloads := fun _ => 0 |};
                      producer := fresh 0; filling := false; consumer := fresh 0 |};
       pcs := fun _ => Idle |}.

  Lemma play_trace ts tr s : play empty_ring ts = Some (tr, s) -> is_trace ring tr.
  Proof.
    intros H. exists empty_ring, s. split; [repeat split|]. apply (play_exec ts);
      [|exact H]. intros q _. reflexivity.
  Qed.
End Play.

(** What [play] says of the history alone. *)
Definition history (o : option (list ev * cstate)) : option (list ev) := option_map fst o.
Lemma history_trace c d ts tr : history (play c d empty_ring ts) = Some tr ->
  is_trace (spsc_ring c d true) tr.
Proof.
  unfold history. destruct (play c d empty_ring ts) as [[tr' s]|] eqn:E; [|discriminate].
  intros H. injection H as <-. exact (play_trace _ _ _ _ _ E).
Qed.

(** * A long run *)

Theorem run_is_seen_in_pieces : is_trace (spsc_ring 4 2 true)
  [Call 0 (Push [Some 1; Some 2; Some 3; Some 4]); Call 1 (Pop 4); Ret 1 (Popped [1; 2]);
   Call 1 (Pop 4); Ret 1 Empty; Ret 0 (Pushed 4)].
Proof.
  apply history_trace with (ts :=
    [Pushing 0 [1; 2; 3; 4];
     Does 0 (At PUSH_HEAD); Does 0 (At PUSH_ENTER); Does 0 (At PUSH_SEALED); Does 0 WRITE; Does 0 WRITE;
     Does 0 (At PUSH_PUBLISH);
     Popping 1 4; Does 1 (At POP_WRITTEN); Does 1 READ; Does 1 READ; Does 1 (At POP_RELEASE);
     Returns 1 (Popped [1; 2]);
     Popping 1 4; Does 1 (At POP_WRITTEN); Does 1 (At POP_FENCE); Does 1 (At POP_SEALED);
       Does 1 (At POP_LAST);
     Returns 1 Empty;
     Does 0 WRITE; Does 0 WRITE; Does 0 (At PUSH_PUBLISH); Does 0 (At PUSH_PUBLISH); Returns 0 (Pushed 4)]).
  vm_compute. reflexivity.
Qed.

(** * Closing *)

(** One pop that finds nothing, up to its answer. *)
Definition looks_in_vain (p : tid) (r : res) : list turn :=
  [Popping p 1; Does p (At POP_WRITTEN); Does p (At POP_FENCE); Does p (At POP_SEALED); Does p (At POP_LAST);
   Returns p r].

Theorem empty_after_closed : is_trace (spsc_ring 4 2 true)
  [Call 0 Seal; Ret 0 Sealed; Call 1 (Pop 1); Ret 1 Closed;
   Call 0 (Push [Some 7]); Call 1 (Pop 1); Ret 1 Empty; Ret 0 Closed; Call 1 (Pop 1); Ret 1 Closed].
Proof.
  apply history_trace with (ts :=
    [Sealing 0; Does 0 (At SEAL_MARK); Does 0 (At SEAL_DONE); Does 0 (At SEAL_LOOK); Returns 0 Sealed]
    ++ looks_in_vain 1 Closed
    ++ [Pushing 0 [7]; Does 0 (At PUSH_HEAD); Does 0 WRITE; Does 0 (At PUSH_ENTER)]
    ++ looks_in_vain 1 Empty
    ++ [Does 0 (At PUSH_SEALED); Does 0 (At PUSH_FENCE); Does 0 (At PUSH_SEALED); Does 0 (At PUSH_LEAVE);
        Returns 0 Closed]
    ++ looks_in_vain 1 Closed).
  vm_compute. reflexivity.
Qed.

Theorem accepted_after_mark : is_trace (spsc_ring 4 2 true)
  [Call 0 (Push [Some 7]); Call 2 Seal; Ret 2 Busy; Call 1 (Pop 1); Ret 1 Empty; Ret 0 (Pushed 1);
   Call 1 (Pop 1); Ret 1 (Popped [7]); Call 1 (Pop 1); Ret 1 Closed].
Proof.
  apply history_trace with (ts :=
    [Pushing 0 [7]; Does 0 (At PUSH_HEAD); Does 0 WRITE; Does 0 (At PUSH_ENTER); Does 0 (At PUSH_SEALED);
     Sealing 2; Does 2 (At SEAL_MARK); Does 2 (At SEAL_DONE); Does 2 (At SEAL_LOOK); Returns 2 Busy]
    ++ looks_in_vain 1 Empty
    ++ [Does 0 (At PUSH_PUBLISH); Returns 0 (Pushed 1);
        Popping 1 1; Does 1 (At POP_WRITTEN); Does 1 READ; Does 1 (At POP_RELEASE); Returns 1 (Popped [7])]
    ++ looks_in_vain 1 Closed).
  vm_compute. reflexivity.
Qed.

(** The atomic queue that has been closed stays so: once a seal has returned, whoever calls then does not
    hear [Empty]. *)
Definition shut (s : astate) : Prop := closed s = true /\ status s 1 <> Done Empty.

Lemma shut_step c s l s' : shut s -> atrans c s l s' -> shut s'.
Proof.
  intros (K & E) T. destruct T as [s p o Es _|s p o r q b Es F|s p o q Es Ei|s p o Es|s p r Es];
    split; cbn; auto; unfold upd; try (destruct (N.eqb_spec 1 p) as [E1|N1]; [discriminate|assumption]).
  - destruct F; congruence.
  - destruct (N.eqb_spec 1 p) as [E1|N1]; [|assumption]. intros H. injection H as ->. inversion F; congruence.
Qed.

(** Until thread 1 begins: who has sealed has closed the queue. *)
Definition sealing (s : astate) : Prop :=
  (status s 0 = Done Sealed -> closed s = true) /\ status s 1 = Outside.

Lemma sealing_step c s l s' : sealing s -> atrans c s l s' -> (forall o, l <> Some (Call 1 o)) -> sealing s'.
Proof.
  intros (K & E) T N. destruct T as [s p o Es _|s p o r q b Es F|s p o q Es Ei|s p o Es|s p r Es];
    split; cbn; unfold upd;
    try (destruct (N.eqb_spec 1 p) as [<-|N1]; [try congruence; now destruct (N o)|assumption]);
    destruct (N.eqb_spec 0 p) as [<-|N0]; try discriminate; auto.
  - intros H. injection H as ->. inversion F; reflexivity.
  - intros H. specialize (K H). destruct F; congruence.
Qed.

Lemma exec_shut c s tr s' : exec (atomic_queue c) s tr s' -> shut s -> shut s'.
Proof. intros X. apply (exec_invariant (A := atomic_queue c)) with (2 := X). apply shut_step. Qed.

Lemma exec_sealing c s tr s' : exec (atomic_queue c) s tr s' -> (forall o, ~ In (Call 1 o) tr) ->
  sealing s -> sealing s'.
Proof.
  intros X. induction X as [s|s l s' tr s'' T X IH]; intros N K; [exact K|]. apply IH.
  - intros o I. apply (N o), in_or_app. now right.
  - apply (sealing_step c s l); auto. intros o ->. apply (N o). now left.
Qed.

(** An event is seen at one step. *)
Lemma exec_event c s e s' : exec (atomic_queue c) s [e] s' ->
  exists a b, exec (atomic_queue c) s [] a /\ atrans c a (Some e) b /\ exec (atomic_queue c) b [] s'.
Proof.
  intros X. remember [e] as tr eqn:E. induction X as [s|s [e'|] s' tr s'' T X IH]; [discriminate| |].
  - injection E as -> ->. exists s, s'. repeat split; auto. constructor.
  - destruct (IH E) as (a & b & X1 & T' & X2). exists a, b. repeat split; auto. eapply exec_tau; eauto.
Qed.

Theorem atomic_stays_closed c rest :
  ~ is_trace (atomic_queue c) ([Call 0 Seal; Ret 0 Sealed] ++ rest ++ [Ret 1 Empty]).
Proof.
  intros (s0 & s & (_ & _ & S) & X).
  destruct (exec_app_inv _ _ X) as (s1 & X1 & X2).
  destruct (exec_app_inv [Call 0 Seal] [Ret 0 Sealed] X1) as (m & Y1 & Y2).
  assert (sealing m) as Km.
  { apply (exec_sealing c _ _ _ Y1); [intros o [H|[]]; discriminate|].
    split; rewrite S; [discriminate|reflexivity]. }
  assert (shut s1) as K1.
  { destruct (exec_event _ _ _ _ Y2) as (a & b & Z1 & T & Z2).
    apply (exec_shut c _ _ _ Z2).
    destruct (exec_sealing c _ _ _ Z1 ltac:(intros o []) Km) as (Ka & Ea).
    inversion T; subst. split; cbn; [auto|]. unfold upd. cbn. rewrite Ea. discriminate. }
  destruct (exec_app_inv _ _ X2) as (m2 & W1 & W2).
  destruct (exec_event _ _ _ _ W2) as (a & b & Z1 & T & _).
  pose proof (exec_shut c _ _ _ Z1 (exec_shut c _ _ _ W1 K1)) as (_ & Na).
  inversion T; subst. contradiction.
Qed.

Corollary empty_after_closed_is_not_atomic c : ~ is_trace (atomic_queue c)
  [Call 0 Seal; Ret 0 Sealed; Call 1 (Pop 1); Ret 1 Closed; Call 0 (Push [Some 7]); Call 1 (Pop 1);
    Ret 1 Empty].
Proof. exact (atomic_stays_closed c [Call 1 (Pop 1); Ret 1 Closed; Call 0 (Push [Some 7]);
  Call 1 (Pop 1)]). Qed.
