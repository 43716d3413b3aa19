(** Linearizability in the sense of Herlihy and Wing, and why the canonical automaton is the same thing.

    The other files call a ring linearizable when its traces are traces of a canonical atomic automaton: a
    call, one internal step that is the operation, a return. This file proves that this is the definition of
    the literature (M. Herlihy, J. Wing, *Linearizability: A Correctness Condition for Concurrent Objects*,
    TOPLAS 1990, section 2), for every sequential object, deterministic or not, and any number of threads.

    Proved:
    - [canonical_iff_linearizable]: a well-formed history is a trace of the canonical automaton of an object
      if and only if it is linearizable with respect to the object;
    - [canonical_well_formed]: its traces are well-formed, so that
      [refines_canonical_iff]: any system refines it if and only if each of its histories is linearizable;
    - [refines_linearizable]: what refines [atomic_queue c] has only histories that are linearizable with
      respect to the bounded FIFO [fifo_step c]. There [Busy] is always allowed and changes nothing;
      [busy_is_justified]: in [atomic_queue c] it is answered only while another call is going on.
      [atomic_queue_iff]: without [Busy], [atomic_queue c] has exactly the linearizable histories.

    Not here: liveness, and histories without end. A history is a finite list. Threads are numbers; objects
    are one (linearizability is local, so that several objects would add nothing). *)
From Coq Require Import List Arith NArith Lia.
Import ListNotations.
From Turtle.common Require Import Lts SetSimulation.
Local Notation "x =? y" := (N.eqb x y) (at level 70).

Section Object.
  (** A sequential object: what an operation may answer in a state, and the state after it. *)
  Variables Op Res Obj : Type.
  Variable first : Obj -> Prop.
  Variable step : Obj -> Op -> Res -> Obj -> Prop.

  (** * Histories, as in section 2.1 of the article *)

  Inductive event := Invoke (p : N) (o : Op) | Respond (p : N) (r : Res).
  Definition history := list event.

  Definition thread (e : event) : N := match e with Invoke p _ | Respond p _ => p end.
  (** [H|p], the events of one thread. *)
  Definition of (p : N) (h : history) : history := filter (fun e => thread e =? p) h.

  (** Each invocation is followed at once by a response of its thread; the last one need not be. *)
  Inductive sequential : history -> Prop :=
  | sequential_nil : sequential []
  | sequential_open p o : sequential [Invoke p o]
  | sequential_op p o r h : sequential h -> sequential (Invoke p o :: Respond p r :: h).

  Definition well_formed (h : history) : Prop := forall p, sequential (of p h).

  (** [complete(H)]: without the invocations that no response follows. *)
  Definition is_response (p : N) (e : event) : bool :=
    match e with Respond q _ => q =? p | Invoke _ _ => false end.
  Definition is_invocation (p : N) (e : event) : bool :=
    match e with Invoke q _ => q =? p | Respond _ _ => false end.
  Fixpoint complete (h : history) : history :=
    match h with
    | [] => []
    | Invoke p o :: h' => if existsb (is_response p) h' then Invoke p o :: complete h' else complete h'
    | Respond p r :: h' => Respond p r :: complete h'
    end.

  (** Whether the object may go through a sequential history without open invocations. *)
  Inductive runs : Obj -> history -> Obj -> Prop :=
  | runs_nil x : runs x [] x
  | runs_op x x' x'' p o r h : step x o r x' -> runs x' h x'' -> runs x (Invoke p o :: Respond p r :: h) x''.
  Definition legal (h : history) : Prop := exists x x', first x /\ runs x h x'.

  (** An operation has a name that is the same in equivalent histories: [(p, i)] is number [i], from 0, of
      thread [p]. [precedes h a b]: in [h], [a] has returned before [b] is invoked. *)
  Definition operation : Type := N * nat.
  Definition invocations (p : N) (h : history) : nat := length (filter (is_invocation p) h).
  Definition responses (p : N) (h : history) : nat := length (filter (is_response p) h).
  Definition occurs (h : history) (a : operation) : Prop := snd a < invocations (fst a) h.
  Definition precedes (h : history) (a b : operation) : Prop :=
    exists before after, h = before ++ after /\
      snd a < responses (fst a) before /\ ~ occurs before b /\ occurs h b.

  (** [h] can be extended by responses so that what is complete of it is equivalent to a legal sequential
      history that keeps the order of operations that do not overlap. (An invocation that stays open has no
      effect and is no operation of the sequential history, so there is no order to keep for it.) *)
  Definition linearizable (h : history) : Prop :=
    exists rest s,
      (forall e, In e rest -> exists p r, e = Respond p r) /\ well_formed (h ++ rest) /\
      sequential s /\ legal s /\
      (forall p, of p (complete (h ++ rest)) = of p s) /\
      (forall a b, occurs s b -> precedes h a b -> precedes s a b).

  (** * The canonical automaton *)

  Inductive phase := Idle | Pending (o : Op) | Answered (r : Res).
  Record canonical_state := { object : Obj; phase_of : N -> phase }.

  Inductive canonical_trans : canonical_state -> option event -> canonical_state -> Prop :=
  | canonical_call s p o : phase_of s p = Idle ->
      canonical_trans s (Some (Invoke p o))
        {| object := object s; phase_of := upd (phase_of s) p (Pending o) |}
  | canonical_effect s p o r x : phase_of s p = Pending o -> step (object s) o r x ->
      canonical_trans s None {| object := x; phase_of := upd (phase_of s) p (Answered r) |}
  | canonical_return s p r : phase_of s p = Answered r ->
      canonical_trans s (Some (Respond p r)) {| object := object s; phase_of := upd (phase_of s) p Idle |}.

  Definition canonical : lts event :=
    {| state := canonical_state;
       initial := fun s => first (object s) /\ forall p, phase_of s p = Idle;
       trans := canonical_trans |}.

  (** * Lists of operations: sequential histories without an open invocation *)

  Definition effect : Type := N * Op * Res.
  Definition both (e : effect) : history := let '(p, o, r) := e in [Invoke p o; Respond p r].
  Definition flat (l : list effect) : history := flat_map both l.
  Definition by_thread (p : N) (l : list effect) : list effect := filter (fun e => fst (fst e) =? p) l.

  Arguments flat : simpl never.
  Arguments of : simpl never.
  Lemma of_cons p e h : of p (e :: h) = if thread e =? p then e :: of p h else of p h.
  Proof. reflexivity. Qed.
  Lemma by_thread_cons p q o r l :
    by_thread p ((q, o, r) :: l) = if q =? p then (q, o, r) :: by_thread p l else by_thread p l.
  Proof. reflexivity. Qed.
  Lemma flat_cons p o r l : flat ((p, o, r) :: l) = Invoke p o :: Respond p r :: flat l.
  Proof. reflexivity. Qed.
  Lemma flat_nil : flat [] = [].
  Proof. reflexivity. Qed.

  Lemma by_thread_app p l l' : by_thread p (l ++ l') = by_thread p l ++ by_thread p l'.
  Proof. apply filter_app. Qed.

  Lemma flat_app l l' : flat (l ++ l') = flat l ++ flat l'.
  Proof. apply flat_map_app. Qed.

  Lemma of_app p h h' : of p (h ++ h') = of p h ++ of p h'.
  Proof. apply filter_app. Qed.

  Lemma of_flat p l : of p (flat l) = flat (by_thread p l).
  Proof.
    induction l as [|[[q o] r] l IH]; [reflexivity|]. rewrite flat_cons, by_thread_cons, !of_cons. cbn.
    destruct (q =? p); [rewrite flat_cons, IH; reflexivity|exact IH].
  Qed.

  Lemma sequential_flat l : sequential (flat l).
  Proof. induction l as [|[[q o] r] l IH]; [|rewrite flat_cons]; constructor; assumption. Qed.

  Lemma sequential_flat_open l p o : sequential (flat l ++ [Invoke p o]).
  Proof. induction l as [|[[q o'] r] l IH]; [|rewrite flat_cons]; constructor; assumption. Qed.

  Lemma sequential_prefix h h' : sequential (h ++ h') -> sequential h.
  Proof.
    intros H. remember (h ++ h') as w eqn:E. revert h E.
    induction H as [|p o|p o r w H IH]; intros h E.
    - destruct h; [constructor|discriminate].
    - destruct h as [|e h]; [constructor|]. injection E as <- E.
      destruct h; [constructor|discriminate].
    - destruct h as [|e h]; [constructor|]. injection E as <- E.
      destruct h as [|e h]; [constructor|]. injection E as <- E. constructor. now apply IH.
  Qed.

  Lemma sequential_rest l h : sequential (flat l ++ h) -> sequential h.
  Proof.
    induction l as [|[[p o] r] l IH]; [auto|]. rewrite flat_cons. cbn. intros H. inversion H; subst. auto.
  Qed.

  Lemma sequential_cases h : sequential h ->
    exists l, h = flat l \/ exists p o, h = flat l ++ [Invoke p o].
  Proof.
    induction 1 as [|p o|p o r h H (l & IH)].
    - exists []. now left.
    - exists []. right. now exists p, o.
    - exists ((p, o, r) :: l). destruct IH as [->|(q & o' & ->)]; [now left|right].
      now exists q, o'.
  Qed.

  Lemma complete_flat_then l h : complete (flat l ++ h) = flat l ++ complete h.
  Proof.
    induction l as [|[[p o] r] l IH]; [reflexivity|]. rewrite flat_cons. cbn. rewrite N.eqb_refl. cbn.
    now rewrite IH.
  Qed.

  Lemma complete_flat l : complete (flat l) = flat l.
  Proof. rewrite <- (app_nil_r (flat l)) at 1. rewrite complete_flat_then. apply app_nil_r. Qed.

  Lemma complete_flat_open l p o : complete (flat l ++ [Invoke p o]) = flat l.
  Proof. rewrite complete_flat_then. cbn. apply app_nil_r. Qed.

  Lemma existsb_of p h : existsb (is_response p) (of p h) = existsb (is_response p) h.
  Proof.
    induction h as [|e h IH]; [reflexivity|]. rewrite of_cons.
    destruct e as [q o|q r]; cbn; destruct (q =? p) eqn:E; cbn; rewrite ?E; cbn; auto.
  Qed.

  Lemma complete_of p h : of p (complete h) = complete (of p h).
  Proof.
    induction h as [|e h IH]; [reflexivity|]. rewrite of_cons. destruct e as [q o|q r]; cbn [complete thread].
    - destruct (q =? p) eqn:E.
      + apply N.eqb_eq in E. subst q. cbn [complete]. rewrite existsb_of.
        destruct (existsb (is_response p) h); rewrite ?of_cons; cbn [thread]; rewrite ?N.eqb_refl;
          now rewrite IH.
      + destruct (existsb (is_response q) h); rewrite ?of_cons; cbn [thread]; rewrite ?E; assumption.
    - rewrite of_cons. cbn [thread]. destruct (q =? p) eqn:E; cbn [complete]; now rewrite IH.
  Qed.

  Lemma runs_flat x h x' : runs x h x' -> exists l, h = flat l.
  Proof.
    induction 1 as [x|x x1 x2 p o r h S R (l & ->)]; [now exists []|]. now exists ((p, o, r) :: l).
  Qed.

  Lemma runs_app x h x' h' x'' : runs x h x' -> runs x' h' x'' -> runs x (h ++ h') x''.
  Proof. induction 1; intros; cbn; [assumption|]. econstructor; eauto. Qed.

  Lemma runs_cons p o r l x x'' :
    runs x (flat ((p, o, r) :: l)) x'' -> exists x', step x o r x' /\ runs x' (flat l) x''.
  Proof. rewrite flat_cons. intros R. inversion R; subst. eauto. Qed.

  (** Counting. *)
  Lemma invocations_app p h h' : invocations p (h ++ h') = invocations p h + invocations p h'.
  Proof. unfold invocations. now rewrite filter_app, app_length. Qed.
  Lemma responses_app p h h' : responses p (h ++ h') = responses p h + responses p h'.
  Proof. unfold responses. now rewrite filter_app, app_length. Qed.

  Lemma invocations_mine p o h : invocations p (Invoke p o :: h) = S (invocations p h).
  Proof. unfold invocations. cbn. now rewrite N.eqb_refl. Qed.
  Lemma responses_mine p r h : responses p (Respond p r :: h) = S (responses p h).
  Proof. unfold responses. cbn. now rewrite N.eqb_refl. Qed.
  Lemma invocations_skip p q r h : invocations p (Respond q r :: h) = invocations p h.
  Proof. reflexivity. Qed.

  Lemma invocations_of p h : invocations p (of p h) = invocations p h.
  Proof.
    unfold invocations. induction h as [|e h IH]; [reflexivity|]. rewrite of_cons.
    destruct e as [q o|q r]; cbn; destruct (q =? p) eqn:E; cbn; rewrite ?E; cbn; auto.
  Qed.
  Lemma responses_of p h : responses p (of p h) = responses p h.
  Proof.
    unfold responses. induction h as [|e h IH]; [reflexivity|]. rewrite of_cons.
    destruct e as [q o|q r]; cbn; destruct (q =? p) eqn:E; cbn; rewrite ?E; cbn; auto.
  Qed.
  Lemma balanced p l : responses p (flat l) = invocations p (flat l).
  Proof.
    unfold invocations, responses. induction l as [|[[q o] r] l IH]; [reflexivity|].
    rewrite flat_cons. cbn. destruct (q =? p); cbn; now rewrite IH.
  Qed.

  (** * From the automaton to Herlihy and Wing *)

  (** What a thread's events are, given the effects so far and its phase. *)
  Definition agrees (p : N) (mine : history) (effects : list effect) (x : phase) : Prop :=
    match x with
    | Idle => mine = flat (by_thread p effects)
    | Pending o => mine = flat (by_thread p effects) ++ [Invoke p o]
    | Answered r => flat (by_thread p effects) = mine ++ [Respond p r]
    end.

  (** The automaton may do [h], with these effects in this order, and be here. *)
  Record reached (h : history) (l : list effect) (s : canonical_state) : Prop := {
    reached_object : exists x, first x /\ runs x (flat l) (object s);
    reached_threads : forall p, agrees p (of p h) l (phase_of s p);
    reached_order : forall a b, occurs (flat l) b -> precedes h a b -> precedes (flat l) a b
  }.

  Lemma agrees_counts p h l x : agrees p (of p h) l x ->
    responses p h <= responses p (flat l) /\
    invocations p (flat l) <= invocations p h /\
    (match x with Pending _ => invocations p h = S (invocations p (flat l))
                | _ => invocations p h = invocations p (flat l) end) /\
    (match x with Answered _ => responses p (flat l) = S (responses p h)
                | _ => responses p h = responses p (flat l) end).
  Proof.
    intros A.
    rewrite <- (invocations_of p h), <- (responses_of p h), <- (invocations_of p (flat l)),
      <- (responses_of p (flat l)), of_flat.
    destruct x; cbn in A; rewrite A; rewrite ?invocations_app, ?responses_app;
      unfold invocations, responses; cbn; rewrite ?N.eqb_refl; cbn; lia.
  Qed.

  Lemma of_cons_other p e h : thread e <> p -> of p (e :: h) = of p h.
  Proof. intros N. rewrite of_cons. now destruct (N.eqb_spec (thread e) p). Qed.
  Lemma of_snoc_same p h e : thread e = p -> of p (h ++ [e]) = of p h ++ [e].
  Proof. intros E. rewrite of_app, of_cons, E, N.eqb_refl. reflexivity. Qed.
  Lemma of_snoc_other p h e : thread e <> p -> of p (h ++ [e]) = of p h.
  Proof. intros N. rewrite of_app, (of_cons_other _ _ _ N). apply app_nil_r. Qed.
  Lemma by_thread_snoc p l q o r :
    by_thread p (l ++ [(q, o, r)]) = by_thread p l ++ (if q =? p then [(q, o, r)] else []).
  Proof. unfold by_thread. now rewrite filter_app. Qed.

  (** The last event of a history is before no operation that it does not begin. *)
  Lemma precedes_snoc h e a b : precedes (h ++ [e]) a b -> occurs h b -> precedes h a b.
  Proof.
    intros (u & v & E & A & N & O) Ob. destruct v as [|e' v] using rev_ind.
    - rewrite app_nil_r in E. subst u. contradiction.
    - clear IHv. rewrite app_assoc in E. apply app_inj_tail in E. destruct E as [-> ->].
      exists u, v. auto.
  Qed.

  Lemma reached_step h l s e s' : reached h l s -> canonical_trans s e s' ->
    exists l', reached (h ++ visible e) l' s'.
  Proof.
    intros [(x & Fx & Rx) T O] X. destruct X as [s p o Ep|s p o r y Ep Sy|s p r Ep]; cbn.
    - exists l. constructor; cbn.
      + exists x; auto.
      + intros q. pose proof (T q) as Tq. destruct (N.eq_dec q p) as [->|N].
        * rewrite upd_same, of_snoc_same by reflexivity. rewrite Ep in Tq. cbn in *. now rewrite Tq.
        * rewrite upd_other, of_snoc_other by (cbn; congruence). assumption.
      + intros a b Ob P. apply O; [assumption|]. apply precedes_snoc with (1 := P).
        unfold occurs in *. pose proof (agrees_counts _ _ _ _ (T (fst b))). lia.
    - exists (l ++ [(p, o, r)]). rewrite app_nil_r. constructor; cbn.
      + exists x. split; [assumption|]. rewrite flat_app. eapply runs_app; [exact Rx|].
        exact (runs_op _ _ _ p _ _ _ Sy (runs_nil y)).
      + intros q. pose proof (T q) as Tq. destruct (N.eq_dec q p) as [->|N].
        * rewrite upd_same. rewrite Ep in Tq. cbn in *. rewrite by_thread_snoc, N.eqb_refl, flat_app, Tq.
          now rewrite <- app_assoc.
        * rewrite upd_other by assumption. unfold agrees in *. rewrite by_thread_snoc.
          destruct (N.eqb_spec p q); [congruence|]. now rewrite app_nil_r.
      + intros a b Ob P. rewrite flat_app in Ob |- *. unfold occurs in Ob. rewrite invocations_app in Ob.
        destruct (le_lt_dec (invocations (fst b) (flat l)) (snd b)) as [New|Old].
        * (* [b] is the operation whose effect this is; every response so far is of one with an effect before
        *)
          exists (flat l), (flat [(p, o, r)]). split; [reflexivity|].
          destruct P as (u & v & E & A & _ & _). split; [|split].
          -- pose proof (agrees_counts _ _ _ _ (T (fst a))) as (C & _). subst h.
             rewrite responses_app in C. lia.
          -- unfold occurs. lia.
          -- unfold occurs. rewrite invocations_app. assumption.
        * destruct (O a b Old P) as (u & v & E & A & N & _).
          exists u, (v ++ flat [(p, o, r)]). rewrite app_assoc, <- E. repeat split; auto.
          unfold occurs. rewrite invocations_app. assumption.
    - exists l. constructor; cbn.
      + exists x; auto.
      + intros q. pose proof (T q) as Tq. destruct (N.eq_dec q p) as [->|N].
        * rewrite upd_same, of_snoc_same by reflexivity. rewrite Ep in Tq. cbn in *. now rewrite Tq.
        * rewrite upd_other, of_snoc_other by (cbn; congruence). assumption.
      + intros a b Ob P. apply O; [assumption|]. apply precedes_snoc with (1 := P).
        unfold occurs in *. pose proof (agrees_counts _ _ _ _ (T (fst b))). lia.
  Qed.

  Lemma reached_trace h : is_trace canonical h -> exists l s, reached h l s.
  Proof.
    intros (s0 & s & (F0 & I0) & X).
    assert (reached [] [] s0) as R0.
    { constructor.
      - exists (object s0). split; [assumption|constructor].
      - intros p. now rewrite I0.
      - intros a b Ob. unfold occurs, invocations, flat in Ob. cbn in Ob. lia. }
    change h with ([] ++ h). clear F0 I0.
    revert R0. generalize (@nil event) as done, (@nil effect) as l.
    induction X as [s|s e s' tr s'' T X IH]; intros done l R.
    - exists l, s. now rewrite app_nil_r.
    - destruct (reached_step _ _ _ _ _ R T) as (l' & R').
      destruct (IH _ _ R') as (l2 & s2 & R2). rewrite <- app_assoc in R2. eauto.
  Qed.

  Lemma agrees_sequential p mine l x : agrees p mine l x -> sequential mine.
  Proof.
    destruct x as [|o|r]; cbn; intros A; try rewrite A.
    - apply sequential_flat.
    - apply sequential_flat_open.
    - apply sequential_prefix with (h' := [Respond p r]). rewrite <- A. apply sequential_flat.
  Qed.

  Theorem canonical_well_formed h : is_trace canonical h -> well_formed h.
  Proof.
    intros Tr p. destruct (reached_trace h Tr) as (l & s & R).
    exact (agrees_sequential _ _ _ _ (reached_threads _ _ _ R p)).
  Qed.

  (** The responses of operations that have had their effect. *)
  Definition owed (s : canonical_state) (p : N) : history :=
    match phase_of s p with Answered r => [Respond p r] | _ => [] end.

  Lemma of_owed s p ps : NoDup ps ->
    of p (flat_map (owed s) ps) = if in_dec N.eq_dec p ps then owed s p else [].
  Proof.
    induction ps as [|q ps IH]; intros N; [reflexivity|]. inversion N as [|? ? Nq Np]; subst.
    cbn [flat_map]. rewrite of_app, (IH Np).
    assert (of p (owed s q) = if q =? p then owed s q else []) as ->.
    { unfold owed, of. destruct (phase_of s q); cbn; now destruct (q =? p). }
    destruct (N.eqb_spec q p) as [->|Nqp].
    - destruct (in_dec N.eq_dec p ps) as [|]; [contradiction|].
      destruct (in_dec N.eq_dec p (p :: ps)) as [|Q]; [apply app_nil_r|]. exfalso. apply Q. now left.
    - destruct (in_dec N.eq_dec p ps) as [I|I], (in_dec N.eq_dec p (q :: ps)) as [J|J]; try reflexivity.
      + exfalso. apply J. now right.
      + exfalso. destruct J as [J|J]; congruence.
  Qed.

  Theorem canonical_linearizable h : is_trace canonical h -> linearizable h.
  Proof.
    intros Tr. destruct (reached_trace h Tr) as (l & s & [(x & Fx & Rx) T O]).
    pose (ps := nodup N.eq_dec (map thread h)).
    exists (flat_map (owed s) ps), (flat l).
    assert (forall p, of p (h ++ flat_map (owed s) ps) = of p h ++ owed s p) as W.
    { intros p. rewrite of_app, of_owed by apply NoDup_nodup. f_equal.
      destruct (in_dec N.eq_dec p ps) as [|N]; [reflexivity|]. unfold owed.
      pose proof (T p) as A. destruct (phase_of s p) as [| |r]; try reflexivity. exfalso.
      (* an operation that has had its effect has been invoked *)
      cbn in A. destruct (of p h) as [|e m] eqn:E.
      - assert (sequential (flat (by_thread p l))) as Q by apply sequential_flat. rewrite A in Q. inversion Q.
      - assert (In e (of p h)) as I by (rewrite E; now left). apply filter_In in I. destruct I as [I1 I2].
        apply N. unfold ps. apply nodup_In. apply N.eqb_eq in I2. rewrite <- I2. now apply in_map. }
    split; [|split; [|split; [|split; [|split]]]].
    - intros e I. apply in_flat_map in I. destruct I as (p & _ & I). unfold owed in I.
      destruct (phase_of s p) as [| |r]; cbn in I; try tauto. destruct I as [<-|[]]. now exists p, r.
    - intros p. rewrite W. unfold owed. pose proof (T p) as A.
      destruct (phase_of s p) as [|o|r]; cbn in A.
      + rewrite app_nil_r, A. apply sequential_flat.
      + rewrite app_nil_r, A. apply sequential_flat_open.
      + rewrite <- A. apply sequential_flat.
    - apply sequential_flat.
    - exists x, (object s). auto.
    - intros p. rewrite complete_of, W, of_flat. unfold owed. pose proof (T p) as A.
      destruct (phase_of s p) as [|o|r]; cbn in A.
      + rewrite app_nil_r, A. apply complete_flat.
      + rewrite app_nil_r, A. apply complete_flat_open.
      + rewrite <- A. apply complete_flat.
    - exact O.
  Qed.

  (** * From Herlihy and Wing to the automaton *)

  Lemma well_formed_complete m : sequential m -> exists open, m = complete m ++ open /\ length open <= 1.
  Proof.
    intros Q. destruct (sequential_cases _ Q) as (l & [->|(p & o & ->)]).
    - exists []. rewrite complete_flat, app_nil_r. cbn. auto.
    - exists [Invoke p o]. rewrite complete_flat_open. auto.
  Qed.

  Lemma app_prefix {A} (a b c d : list A) : a ++ b = c ++ d -> length a <= length c -> exists e, c = a ++ e.
  Proof.
    revert c. induction a as [|x a IH]; intros c E L; [now exists c|].
    destruct c as [|y c]; [cbn in L; lia|]. injection E as <- E. cbn in L.
    destruct (IH c E ltac:(lia)) as (e & ->). now exists e.
  Qed.

  Lemma invocations_only_responses q rest :
    (forall e, In e rest -> exists p r, e = Respond p r) -> invocations q rest = 0.
  Proof.
    induction rest as [|e rest IH]; intros H; [reflexivity|].
    destruct (H e (or_introl eq_refl)) as (p & r & ->).
    unfold invocations. cbn. apply IH. intros e I. apply H. now right.
  Qed.

  (** A history and the sequential one that explains it. *)
  Section Explained.
    Variables (h rest : history) (all : list effect).
    Hypothesis only_responses : forall e, In e rest -> exists p r, e = Respond p r.
    Hypothesis formed : well_formed (h ++ rest).
    Hypothesis same : forall p, of p (complete (h ++ rest)) = of p (flat all).
    Hypothesis order : forall a b, occurs (flat all) b -> precedes h a b -> precedes (flat all) a b.

    (** What a thread does begins with what it does in the sequential history. *)
    Lemma thread_prefix p :
      exists open, of p (h ++ rest) = flat (by_thread p all) ++ open /\ length open <= 1.
    Proof.
      destruct (well_formed_complete _ (formed p)) as (open & E & L).
      exists open. rewrite <- complete_of, same, of_flat in E. auto.
    Qed.

    Lemma occurs_in_history a : occurs (flat all) a -> occurs h a.
    Proof.
      unfold occurs. rewrite <- (invocations_of _ (flat all)), of_flat.
      destruct (thread_prefix (fst a)) as (open & E & _).
      intros H. assert (invocations (fst a) (of (fst a) (h ++ rest)) = invocations (fst a) h) as E'.
      { rewrite invocations_of, invocations_app, (invocations_only_responses _ rest only_responses). lia. }
      rewrite E, invocations_app in E'. lia.
    Qed.

    (** In the sequential history an operation that comes later does not precede. *)
    Lemma not_before done q o r later a b :
      all = done ++ (q, o, r) :: later -> fst b = q -> snd b = invocations q (flat done) ->
      responses (fst a) (flat done) <= snd a -> ~ precedes (flat all) a b.
    Proof.
      intros E Eq Eb Ra (u & v & F & A & N & _). subst q.
      rewrite E, flat_app, flat_cons in F.
      destruct (le_lt_dec (length u) (length (flat done))) as [L|L].
      - destruct (app_prefix _ _ _ _ (eq_sym F) L) as (w & W). rewrite W, responses_app in Ra. lia.
      - change (flat done ++ Invoke (fst b) o :: Respond (fst b) r :: flat later)
          with (flat done ++ [Invoke (fst b) o] ++ Respond (fst b) r :: flat later) in F.
        rewrite app_assoc in F.
        destruct (app_prefix _ _ _ _ F) as (w & W); [rewrite app_length; cbn; lia|].
        apply N. unfold occurs. rewrite W, !invocations_app, invocations_mine. lia.
    Qed.

    Variables (s0 : canonical_state) (end_ : Obj).

    (** The automaton has done [h1], with the effects [done], and [left] are left. *)
    Definition along (h1 : history) (done left : list effect) (s : canonical_state) : Prop :=
      exec canonical s0 h1 s /\ runs (object s) (flat left) end_ /\
      forall p, agrees p (of p h1) done (phase_of s p).

    (** Effects that are due before an operation of [p] returns: they have all been invoked. *)
    Lemma effects_due h1 p r h2 : h = h1 ++ Respond p r :: h2 ->
      forall due done later s, all = done ++ due ++ later -> along h1 done (due ++ later) s ->
      (forall d e d', due = d ++ e :: d' -> responses p (flat (done ++ d)) <= responses p h1) ->
      exists s', along h1 (done ++ due) later s'.
    Proof.
      intros Eh due. induction due as [|[[q o] r'] due IH]; intros done later s Ea (X & Rx & T) C.
      - exists s. rewrite app_nil_r. split; auto.
      - (* the operation has been invoked *)
        pose (k := invocations q (flat done)).
        assert (occurs (flat all) (q, k)) as Ok.
        { unfold occurs. cbn [fst snd].
          rewrite Ea, flat_app, <- app_comm_cons, flat_cons, invocations_app, invocations_mine.
          subst k. lia. }
        assert (k < invocations q h1) as Invoked.
        { destruct (le_lt_dec (invocations q h1) k) as [Not|]; [exfalso|assumption].
          apply (not_before done q o r' (due ++ later) (p, responses p h1) (q, k)); auto.
          - specialize (C [] _ _ eq_refl). rewrite app_nil_r in C. exact C.
          - apply order; [exact Ok|]. exists (h1 ++ [Respond p r]), h2.
            split; [rewrite <- app_assoc; exact Eh|]. split; [|split].
            + cbn [fst snd]. rewrite responses_app, responses_mine. lia.
            + unfold occurs. cbn [fst snd]. rewrite invocations_app, invocations_skip.
              replace (invocations q []) with 0 by reflexivity. lia.
            + apply occurs_in_history. exact Ok. }
        pose proof (agrees_counts _ _ _ _ (T q)) as (_ & _ & Cq & _).
        pose proof (T q) as Tq. destruct (phase_of s q) as [|o'|r0] eqn:Eq; try (subst k; lia).
        (* and it is the same operation *)
        assert (o' = o) as ->.
        { destruct (thread_prefix q) as (open & E & _). cbn in Tq.
          rewrite Eh, <- app_assoc, of_app, Tq, Ea in E. rewrite by_thread_app in E.
          change (((q, o, r') :: due) ++ later) with ((q, o, r') :: due ++ later) in E.
          rewrite by_thread_cons, N.eqb_refl in E.
          rewrite flat_app, flat_cons, <- !app_assoc in E. apply app_inv_head in E. cbn in E. congruence. }
        destruct (runs_cons _ _ _ _ _ _ Rx) as (y & Sy & Ry).
        destruct (IH (done ++ [(q, o, r')]) later
                    {| object := y; phase_of := upd (phase_of s) q (Answered r') |}) as (s' & Al).
        + rewrite Ea, <- app_assoc. reflexivity.
        + split; [|split; [exact Ry|]].
          * rewrite <- (app_nil_r h1). apply exec_app with (1 := X).
            eapply exec_tau; [|constructor]. cbn. eapply canonical_effect; eassumption.
          * intros t. cbn. pose proof (T t) as Tt. destruct (N.eq_dec t q) as [->|N].
            -- rewrite upd_same. cbn. rewrite by_thread_snoc, N.eqb_refl, flat_app. cbn in Tq. rewrite Tq.
               now rewrite <- app_assoc.
            -- rewrite upd_other by assumption. unfold agrees in *. rewrite by_thread_snoc.
               destruct (N.eqb_spec q t); [congruence|]. now rewrite app_nil_r.
        + intros d e d' Ed. specialize (C ((q, o, r') :: d) e d'). rewrite Ed in C.
          rewrite <- app_assoc. now apply C.
        + exists s'. rewrite <- app_assoc in Al. exact Al.
    Qed.

    Lemma first_of p l : by_thread p l <> [] ->
      exists before o r after, l = before ++ (p, o, r) :: after /\ by_thread p before = [].
    Proof.
      induction l as [|[[q o] r] l IH]; [contradiction|]. rewrite by_thread_cons.
      destruct (N.eqb_spec q p) as [->|N].
      - intros _. exists [], o, r, l. auto.
      - intros H. destruct (IH H) as (b & o' & r' & a & -> & B).
        exists ((q, o, r) :: b), o', r', a. rewrite by_thread_cons.
        destruct (N.eqb_spec q p); [congruence|]. auto.
    Qed.

    Lemma no_responses p l : by_thread p l = [] -> responses p (flat l) = 0.
    Proof. intros H. rewrite <- responses_of, of_flat, H. reflexivity. Qed.

    Lemma replayed h1 h2 : h = h1 ++ h2 -> initial canonical s0 -> runs (object s0) (flat all) end_ ->
      exists done left s, all = done ++ left /\ along h1 done left s.
    Proof.
      revert h2. induction h1 as [|e h1 IH] using rev_ind; intros h2 Eh (F0 & I0) R0.
      { exists [], all, s0. split; [reflexivity|]. split; [constructor|]. split; [assumption|].
        intros p. now rewrite I0. }
      rewrite <- app_assoc in Eh. destruct (IH _ Eh (conj F0 I0) R0) as (done & left & s & Ea & X & Rx & T).
      remember (thread e) as p eqn:Me.
      pose proof (T p) as Tp.
      (* what this thread does: up to now, this event, and the rest *)
      destruct (thread_prefix p) as (open & E & Lo).
      assert (sequential (of p h1 ++ [e])) as Q.
      { pose proof (formed p) as Q. rewrite Eh, !of_app in Q.
        change ([e] ++ h2) with (e :: h2) in Q. rewrite of_cons, <- Me, N.eqb_refl in Q.
        apply sequential_prefix with (h' := of p h2 ++ of p rest). now rewrite <- !app_assoc in *. }
      rewrite Eh, Ea, by_thread_app, !of_app, flat_app in E. change ([e] ++ h2) with (e :: h2) in E.
      rewrite of_cons, <- Me, N.eqb_refl in E.
      destruct e as [p' o|p' r]; cbn [thread] in Me; subst p'.
      - exists done, left, {| object := object s; phase_of := upd (phase_of s) p (Pending o) |}.
        assert (phase_of s p = Idle) as Ep.
        { destruct (phase_of s p) as [|o'|r]; [reflexivity| |]; exfalso; cbn in Tp.
          - rewrite Tp, <- app_assoc in Q. apply sequential_rest in Q. inversion Q.
          - destruct (sequential_cases _ (sequential_prefix _ _ Q)) as (l & [El|(q & o' & El)]).
            + rewrite El in Tp. pose proof (sequential_flat (by_thread p done)) as W. rewrite Tp in W.
              apply sequential_rest in W. inversion W.
            + rewrite El, <- app_assoc in Q. apply sequential_rest in Q. inversion Q. }
        split; [assumption|]. split; [|split; [exact Rx|]].
        + apply exec_app with (1 := X). eapply exec_vis; [|constructor]. now apply canonical_call.
        + intros t. cbn. pose proof (T t) as Tt. destruct (N.eq_dec t p) as [->|N].
          * rewrite upd_same, of_snoc_same by reflexivity. rewrite Ep in Tt. cbn in *. now rewrite Tt.
          * rewrite upd_other, of_snoc_other by (cbn; congruence). assumption.
      - assert (forall done left s, along h1 done left s -> phase_of s p = Answered r ->
                  exists s', along (h1 ++ [Respond p r]) done left s') as Return.
        { clear. intros done left s (X & Rx & T) Ep.
          exists {| object := object s; phase_of := upd (phase_of s) p Idle |}. split; [|split; [exact Rx|]].
          - apply exec_app with (1 := X). eapply exec_vis; [|constructor]. now apply canonical_return.
          - intros t. cbn. pose proof (T t) as Tt. destruct (N.eq_dec t p) as [->|N].
            + rewrite upd_same, of_snoc_same by reflexivity. rewrite Ep in Tt. cbn in *. now rewrite Tt.
            + rewrite upd_other, of_snoc_other by (cbn; congruence). assumption. }
        destruct (phase_of s p) as [|o|r0] eqn:Ep; cbn in Tp.
        + exfalso. rewrite Tp in Q. apply sequential_rest in Q. inversion Q.
        + (* its effect, and others that come before it, are due *)
          rewrite Tp, <- !app_assoc in E. apply app_inv_head in E.
          assert (by_thread p left <> []) as N.
          { intros N. rewrite N in E. change (flat [] ++ open) with open in E. rewrite <- E in Lo.
            cbn in Lo. lia. }
          destruct (first_of _ _ N) as (others & o' & r' & later & El & No). subst left.
          rewrite by_thread_app, No, app_nil_l, by_thread_cons, N.eqb_refl in E.
          rewrite flat_cons in E. cbn in E. injection E as <- <- _.
          destruct (effects_due h1 p r h2 Eh (others ++ [(p, o, r)]) done later s) as (s' & Al).
          * rewrite Ea, <- app_assoc. reflexivity.
          * rewrite <- app_assoc. split; auto.
          * intros d e d' Ed.
            assert (exists d2, others = d ++ d2) as (d2 & ->).
            { apply app_prefix with (b := e :: d') (d := [(p, o, r)]); [now symmetry|].
              apply (f_equal (@length effect)) in Ed. rewrite !app_length in Ed. cbn [length] in Ed.
              unfold effect in *. lia. }
            rewrite by_thread_app in No. apply app_eq_nil in No.
            rewrite flat_app, responses_app, (no_responses p d) by apply No.
            pose proof (agrees_counts _ _ _ _ (T p)) as C. rewrite Ep in C. lia.
          * assert (phase_of s' p = Answered r) as Ep'.
            { pose proof (proj2 (proj2 Al) p) as A. unfold agrees in A.
              replace (by_thread p (done ++ others ++ [(p, o, r)]))
                with (by_thread p done ++ [(p, o, r)]) in A.
              2:{ rewrite !by_thread_app, No, by_thread_cons, N.eqb_refl. reflexivity. }
              rewrite flat_app, Tp in A. change (flat [(p, o, r)]) with [Invoke p o; Respond p r] in A.
              destruct (phase_of s' p) as [|o1|r1].
              - apply app_inv_head in A. discriminate.
              - rewrite <- app_assoc in A. apply app_inv_head in A. discriminate.
              - rewrite <- app_assoc in A. apply app_inv_head in A. cbn in A. congruence. }
            destruct (Return _ _ _ Al Ep') as (s2 & Al2).
            exists (done ++ others ++ [(p, o, r)]), later, s2. split; [|assumption].
            rewrite Ea, <- !app_assoc. reflexivity.
        + rewrite Tp, <- !app_assoc in E. apply app_inv_head in E. cbn in E. injection E as <- _.
          destruct (Return done left s) as (s' & Al); [split; auto|assumption|]. eauto.
    Qed.
  End Explained.

  Lemma legal_flat s : legal s -> exists l x x', s = flat l /\ first x /\ runs x (flat l) x'.
  Proof.
    intros (x & x' & F & R). destruct (runs_flat _ _ _ R) as (l & ->). exists l, x, x'. auto.
  Qed.

  Theorem linearizable_canonical h : linearizable h -> is_trace canonical h.
  Proof.
    intros (rest & s & OR & WF & _ & Le & Sm & Or).
    destruct (legal_flat _ Le) as (l & x & x' & -> & F & R).
    pose (s0 := {| object := x; phase_of := fun _ => Idle |}).
    destruct (replayed h rest l OR WF Sm Or s0 x' h [] (eq_sym (app_nil_r h)) (conj F (fun _ => eq_refl)) R)
      as (done & left & s & _ & X & _).
    exists s0, s. split; [|assumption]. split; [assumption|reflexivity].
  Qed.

  (** * The equivalence *)

  Theorem canonical_iff_linearizable h : well_formed h -> (is_trace canonical h <-> linearizable h).
  Proof. intros _. split; [apply canonical_linearizable|apply linearizable_canonical]. Qed.

  Theorem refines_canonical_iff (A : lts event) :
    refines A canonical <-> forall h, is_trace A h -> linearizable h.
  Proof.
    split; intros H h Tr.
    - apply canonical_linearizable. now apply H.
    - apply linearizable_canonical. now apply H.
  Qed.
End Object.

Arguments Invoke {Op Res}. Arguments Respond {Op Res}.
Arguments Idle {Op Res}. Arguments Pending {Op Res}. Arguments Answered {Op Res}.
Arguments object {Op Res Obj}. Arguments phase_of {Op Res Obj}.
Arguments linearizable {Op Res Obj}. Arguments canonical {Op Res Obj}.

(** * The bounded FIFO *)

From Turtle.common Require Import AtomicQueue.

(** The queue as a sequential object: places and the mark. It is the effect of [AtomicQueue.v] but for two
    things: [Busy] is always an allowed answer and changes nothing; and whoever comes may clear voids (claims
    that were given back) away first. Where no claim is given back there is no void, and this is the textbook
    queue. *)
Inductive fifo_step (c : N) : list cell * bool -> op -> res -> list cell * bool -> Prop :=
| fifo_clear q b o r x : fifo_step c (q, b) o r x -> fifo_step c (None :: q, b) o r x
| fifo_pushed q cs k : (1 <= k <= length cs)%nat -> (len q + N.of_nat k <= c)%N ->
    fifo_step c (q, false) (Push cs) (Pushed (elements (firstn k cs))) (q ++ firstn k cs, false)
| fifo_full q cs : len q = c -> fifo_step c (q, false) (Push cs) Full (q, false)
| fifo_push_busy q cs : fifo_step c (q, false) (Push cs) Busy (q, false)
| fifo_push_closed q cs : fifo_step c (q, true) (Push cs) Closed (q, true)
| fifo_popped q b n vs : (1 <= length vs <= n)%nat ->
    fifo_step c (map Some vs ++ q, b) (Pop n) (Popped vs) (q, b)
| fifo_empty n : fifo_step c ([], false) (Pop n) Empty ([], false)
| fifo_pop_busy q b n : fifo_step c (q, b) (Pop n) Busy (q, b)
| fifo_pop_closed n : fifo_step c ([], true) (Pop n) Closed ([], true)
| fifo_sealed q b : fifo_step c (q, b) Seal Sealed (q, true)
| fifo_looked q b : fifo_step c (q, b) Look Looked (q, b).

Definition fifo_first (x : list cell * bool) : Prop := x = ([], false).

(** The same histories, in the words of this file. *)
Definition event_of (e : ev) : event op res :=
  match e with Call p o => Invoke p o | Ret p r => Respond p r end.
Definition fifo_linearizable (c : N) (h : list ev) : Prop :=
  linearizable fifo_first (fifo_step c) (map event_of h).

Section Fifo.
  Variable c : N.
  Notation fifo := (canonical fifo_first (fifo_step c)).

  Definition phase_of_status (x : stat) : phase op res :=
    match x with
    | Outside => Idle
    | Called o | Sweeping o => Pending o
    | Done r => Answered r
    end.

  (** Voids that the automaton has cleared away may still be in the object: the next effect clears them. *)
  Definition fits (s : astate) (a : canonical_state op res (list cell * bool)) : Prop :=
    (exists k, object a = (repeat None k ++ items s, closed s)) /\
    forall p, phase_of a p = phase_of_status (status s p).

  Lemma clear_first k q b o r x : fifo_step c (q, b) o r x -> fifo_step c (repeat None k ++ q, b) o r x.
  Proof. intros F. induction k; cbn; [exact F|]. now apply fifo_clear. Qed.

  Lemma effect_fifo s p o r q b : effect c s p o r q b -> fifo_step c (items s, closed s) o r (q, b).
  Proof.
    intros E. destruct E; repeat match goal with
      | H : closed s = _ |- _ => rewrite H | H : items s = _ |- _ => rewrite H end; now constructor.
  Qed.

  Lemma fits_step s l s' a : fits s a -> atrans c s l s' ->
    exists a', exec fifo a (map event_of (visible l)) a' /\ fits s' a'.
  Proof.
    intros ((k & Eo) & Ep) T.
    destruct T as [s p o Es _|s p o r q b Es E|s p o q Es Ei|s p o Es|s p r Es]; cbn;
      pose proof (Ep p) as Epp; rewrite Es in Epp; cbn in Epp.
    - exists {| object := object a; phase_of := upd (phase_of a) p (Pending o) |}. split.
      + eapply exec_vis; [|constructor]. now apply canonical_call.
      + split; [exists k; exact Eo|]. intros x. cbn. unfold upd. destruct (N.eqb x p); [reflexivity|apply Ep].
    - exists {| object := (q, b); phase_of := upd (phase_of a) p (Answered r) |}. split.
      + eapply exec_tau; [|constructor]. eapply canonical_effect; [exact Epp|].
        rewrite Eo. apply clear_first. eapply effect_fifo; eassumption.
      + split; [exists 0; reflexivity|].
        intros x. cbn. unfold upd. destruct (N.eqb x p); [reflexivity|apply Ep].
    - exists a. split; [constructor|]. split; cbn.
      + exists (S k). rewrite Eo, Ei. f_equal. change (None :: q) with (repeat None 1 ++ q).
        now rewrite app_assoc, <- repeat_app, Nat.add_comm.
      + intros x. unfold upd. destruct (N.eqb_spec x p) as [->|]; [exact Epp|apply Ep].
    - exists a. split; [constructor|]. split; cbn; [exists k; exact Eo|].
      intros x. unfold upd. destruct (N.eqb_spec x p) as [->|]; [exact Epp|apply Ep].
    - exists {| object := object a; phase_of := upd (phase_of a) p (Idle) |}. split.
      + eapply exec_vis; [|constructor]. now apply canonical_return.
      + split; [exists k; exact Eo|]. intros x. cbn. unfold upd. destruct (N.eqb x p); [reflexivity|apply Ep].
  Qed.

  Theorem atomic_queue_linearizable h : is_trace (atomic_queue c) h -> fifo_linearizable c h.
  Proof.
    intros (s0 & s & (I1 & I2 & I3) & X). apply canonical_linearizable.
    assert (forall s h s', exec (atomic_queue c) s h s' -> forall a, fits s a ->
              exists a', exec fifo a (map event_of h) a') as Along.
    { clear. intros s h s' X. induction X as [s|s l s' h s'' T X IH]; intros a F.
      - exists a. constructor.
      - destruct (fits_step _ _ _ _ F T) as (a1 & X1 & F1). destruct (IH _ F1) as (a2 & X2).
        exists a2. rewrite map_app. exact (exec_app X1 X2). }
    pose (a0 := {| object := ([], false); phase_of := fun _ => Idle |}
            : canonical_state op res (list cell * bool)).
    destruct (Along _ _ _ X a0) as (a & Xa).
    - split; [exists 0; cbn; now rewrite I1, I2|]. intros p. cbn. now rewrite I3.
    - exists a0, a. split; [|exact Xa]. split; [reflexivity|]. intros p. reflexivity.
  Qed.

  (** What the engines' theorems give. *)
  Corollary refines_linearizable (A : lts ev) :
    refines A (atomic_queue c) -> forall h, is_trace A h -> fifo_linearizable c h.
  Proof. intros R h Tr. apply atomic_queue_linearizable. now apply R. Qed.

  (** And without [Busy] these are all: whatever is linearizable is a history of [atomic_queue]. An effect
      [Busy] of a call that never returns is left out. *)
  Definition stands_for (x : phase op res) (y : stat) : Prop :=
    match x with
    | Idle => y = Outside
    | Pending o => y = Called o
    | Answered Busy => exists o, y = Called o
    | Answered r => y = Done r
    end.
  Definition shows (a : canonical_state op res (list cell * bool)) (s : astate) : Prop :=
    object a = (items s, closed s) /\ forall p, stands_for (phase_of a p) (status s p).

  (** Voids are cleared away one by one; then the effect itself. *)
  Lemma clear_away x o r y : fifo_step c x o r y -> forall s p, x = (items s, closed s) ->
    status s p = Called o ->
    exists s1, exec (atomic_queue c) s [] s1 /\ (forall q, status s1 q = status s q) /\
      ((r = Busy /\ y = (items s1, closed s1)) \/ (r <> Busy /\ effect c s1 p o r (fst y) (snd y))).
  Proof.
    intros F. induction F; intros s p E Es; injection E as E1 E2.
    2-11: destruct s as [its cl st]; cbn in E1, E2, Es; subst; eexists; split; [constructor|split;
      [reflexivity|]];
      first [left; split; reflexivity | right; split; [discriminate|]; cbn].
    2-9: try (constructor; cbn; auto; fail).
    (* a void *)
    set (s1 := {| items := q; closed := closed s; status := upd (upd (status s) p (Sweeping o)) p (Called o)
      |}).
    assert (exec (atomic_queue c) s [] s1) as X.
    { eapply exec_tau; [apply (a_sweep c s p o q); [exact Es|now symmetry]|].
      eapply exec_tau; [|constructor]. apply (a_swept c {| items := q; closed := closed s;
        status := upd (status s) p (Sweeping o) |} p o). cbn. apply upd_same. }
    destruct (IHF s1 p) as (s2 & X2 & S2 & D).
    - cbn. congruence.
    - cbn. apply upd_same.
    - exists s2. split; [exact (exec_app X X2)|]. split; [|exact D].
      intros t. rewrite S2. cbn. unfold upd. destruct (N.eqb_spec t p) as [->|]; auto.
  Qed.

  Lemma shows_step a l a' s : shows a s -> canonical_trans op res _ (fifo_step c) a l a' -> forall h,
    visible l = map event_of h -> (forall p, ~ In (Ret p Busy) h) -> (forall p o, In (Call p o) h ->
      asks o = true) ->
    exists s', exec (atomic_queue c) s h s' /\ shows a' s'.
  Proof.
    intros (Eo & Ep) T h Eh NB As. destruct T as [a p o E|a p o r x E F|a p r E]; cbn in Eh;
      pose proof (Ep p) as Epp; rewrite E in Epp.
    - destruct h as [|[p' o'|] []]; try discriminate Eh. injection Eh as <- <-.
      eexists. split; [eapply exec_vis; [apply a_call; [exact Epp|apply (As p); now left]|constructor]|].
      split; [exact Eo|]. intros t. cbn. unfold upd. destruct (N.eqb t p); [reflexivity|apply Ep].
    - destruct h; [|discriminate Eh]. cbn in Epp.
      destruct (clear_away _ _ _ _ F s p Eo Epp) as (s1 & X & S1 & [(-> & D)|(NBr & D)]).
      + exists s1. split; [exact X|]. split; [exact D|]. intros t. cbn. rewrite S1.
        unfold upd. destruct (N.eqb_spec t p) as [->|]; [exists o; exact Epp|apply Ep].
      + eexists. split.
        * change (@nil ev) with (@nil ev ++ []). apply exec_app with (1 := X).
          eapply exec_tau; [eapply a_effect; [rewrite S1; exact Epp|exact D]|constructor].
        * split; [cbn; now destruct x|]. intros t. cbn. unfold upd.
          destruct (N.eqb_spec t p) as [->|]; [|rewrite S1; apply Ep]. destruct r; cbn; congruence.
    - destruct h as [|[|p' r'] []]; try discriminate Eh. injection Eh as <- <-.
      assert (status s p = Done r) as Es.
      { assert (r <> Busy) as N by (intros ->; apply (NB p); now left). cbn in Epp. destruct r; congruence. }
      eexists. split; [eapply exec_vis; [apply a_ret; exact Es|constructor]|].
      split; [exact Eo|]. intros t. cbn. unfold upd. destruct (N.eqb t p); [reflexivity|apply Ep].
  Qed.

  Theorem atomic_queue_complete h :
    fifo_linearizable c h -> (forall p, ~ In (Ret p Busy) h) -> (forall p o, In (Call p o) h ->
      asks o = true) ->
    is_trace (atomic_queue c) h.
  Proof.
    intros L. destruct (linearizable_canonical _ _ _ _ _ _ L) as (a0 & a & (I1 & I2) & X). clear L.
    assert (forall a w a', exec fifo a w a' -> forall h s, w = map event_of h -> shows a s ->
              (forall p, ~ In (Ret p Busy) h) -> (forall p o, In (Call p o) h -> asks o = true) ->
              exists s', exec (atomic_queue c) s h s') as Along.
    { clear. intros a w a' X. induction X as [a|a l a1 w a2 T X IH]; intros h s E Sh NB As.
      - destruct h; [|discriminate]. exists s. constructor.
      - symmetry in E. apply map_eq_app in E. destruct E as (h1 & h2 & -> & E1 & E2).
        destruct (shows_step _ _ _ _ Sh T h1 (eq_sym E1)) as (s1 & X1 & Sh1).
        + intros p I. apply (NB p), in_or_app. now left.
        + intros p o I. apply (As p o), in_or_app. now left.
        + destruct (IH h2 s1 (eq_sym E2) Sh1) as (s2 & X2).
          * intros p I. apply (NB p), in_or_app. now right.
          * intros p o I. apply (As p o), in_or_app. now right.
          * exists s2. exact (exec_app X1 X2). }
    intros NB As. pose (s0 := {| items := []; closed := false; status := fun _ => Outside |}).
    destruct (Along _ _ _ X h s0 eq_refl) as (s & Xs); auto.
    - split; [exact I1|]. intros p. now rewrite I2.
    - exists s0, s. split; [repeat split|exact Xs].
  Qed.

  Corollary atomic_queue_iff h :
    (forall p, ~ In (Ret p Busy) h) -> (forall p o, In (Call p o) h -> asks o = true) ->
    is_trace (atomic_queue c) h <-> fifo_linearizable c h.
  Proof.
    intros NB As. split; [apply atomic_queue_linearizable|]. intros L. now apply atomic_queue_complete.
  Qed.

  (** What justified [Busy] adds: the object above may always answer [Busy], [atomic_queue] only at an instant
      at which another call is going on, one that has been made and has not returned. *)
  Definition thread_of (e : ev) : tid := match e with Call p _ | Ret p _ => p end.
  Definition open (p : tid) (h : list ev) : Prop :=
    exists before o after, h = before ++ Call p o :: after /\ forall e, In e after -> thread_of e <> p.

  Lemma open_snoc p h e : open p h -> thread_of e <> p -> open p (h ++ [e]).
  Proof.
    intros (u & o & v & -> & N) Ne. exists u, o, (v ++ [e]). rewrite <- app_assoc. split; [reflexivity|].
    intros e' I. apply in_app_or in I. destruct I as [I|[<-|[]]]; auto.
  Qed.

  (** At some instant since [p]'s call, [p] and another thread are inside a call. *)
  Definition overlapped (p : tid) (h : list ev) : Prop :=
    exists before after q, h = before ++ after /\ q <> p /\ open p before /\ open q before /\
      forall e, In e after -> thread_of e <> p.

  Definition known (h : list ev) (s : astate) : Prop :=
    (forall p, status s p <> Outside -> open p h) /\
    (forall p, status s p = Done Busy -> overlapped p h).

  Lemma overlapped_snoc p h e : overlapped p h -> thread_of e <> p -> overlapped p (h ++ [e]).
  Proof.
    intros (u & v & q & -> & N & Op & Oq & Nv) Ne. exists u, (v ++ [e]), q. rewrite <- app_assoc.
    repeat split; auto. intros e' I. apply in_app_or in I. destruct I as [I|[<-|[]]]; auto.
  Qed.

  Lemma known_step h s l s' : known h s -> atrans c s l s' -> known (h ++ visible l) s'.
  Proof.
    intros (Ko & Kb) T. destruct T as [s p o Es _|s p o r q b Es E|s p o q Es Ei|s p o Es|s p r Es]; cbn;
      rewrite ?app_nil_r.
    - split; intros x; cbn; unfold upd; destruct (N.eqb_spec x p) as [->|N]; intros H.
      + exists h, o, []. split; [reflexivity|]. intros e [].
      + apply open_snoc; [auto|cbn; congruence].
      + discriminate.
      + apply overlapped_snoc; [auto|cbn; congruence].
    - assert (open p h) as Op by (apply Ko; congruence).
      split; intros x; cbn; unfold upd; destruct (N.eqb_spec x p) as [->|N]; intros H; auto.
      injection H as ->.
      assert (exists t, t <> p /\ status s t <> Outside) as (t & Nt & Ht).
      { inversion E; subst; match goal with
          | H : taking_out _ _ |- _ => destruct H as (t & Nt & [(vs & Ht)|(o' & Ht)])
          | H : putting_in _ _ |- _ => destruct H as (t & Nt & n' & Ht) end;
          exists t; (split; [exact Nt|congruence]). }
      exists h, [], t. rewrite app_nil_r. repeat split; auto; intros e [].
    - split; intros x; cbn; unfold upd; destruct (N.eqb_spec x p) as [->|N]; intros H; auto; try discriminate.
      apply Ko. congruence.
    - split; intros x; cbn; unfold upd; destruct (N.eqb_spec x p) as [->|N]; intros H; auto; try discriminate.
      apply Ko. congruence.
    - split; intros x; cbn; unfold upd; destruct (N.eqb_spec x p) as [->|N]; intros H; try congruence.
      + apply open_snoc; [auto|cbn; congruence].
      + apply overlapped_snoc; [auto|cbn; congruence].
  Qed.

  Theorem busy_is_justified h p : is_trace (atomic_queue c) (h ++ [Ret p Busy]) -> overlapped p h.
  Proof.
    intros (s0 & s & (_ & _ & I) & X).
    assert (forall s w s', exec (atomic_queue c) s w s' ->
              forall done, known done s -> known (done ++ w) s') as Along.
    { clear. intros s w s' X. induction X as [s|s l s' w s'' T X IH]; intros done K.
      - now rewrite app_nil_r.
      - rewrite app_assoc. apply IH. now apply known_step with (s := s). }
    destruct (exec_app_inv _ _ X) as (m & X1 & X2).
    assert (known h m) as K.
    { apply (Along _ _ _ X1 []). split; intros q; rewrite I; intros H; [now destruct H|discriminate]. }
    remember [Ret p Busy] as last eqn:El. revert h X X1 K. induction X2 as [m|m l m' w m'' T X2 IH];
      intros h X X1 K; [discriminate|].
    destruct l as [e|]; cbn in El.
    - injection El as -> _. apply K. now inversion T.
    - apply IH with (h := h); auto.
      + rewrite <- (app_nil_r h). apply exec_app with (1 := X1). exact (exec_one _ _ _ _ T).
      + rewrite <- (app_nil_r h). now apply known_step with (s := m) (l := None).
  Qed.
End Fifo.
