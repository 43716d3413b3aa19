(* All runs of a few participants of the exchange ring with a few calls each.

   Every state is checked for the invariants (wait_free/Invariant.v), every step
   for what it does to a plain bounded queue, every answer against it. Printed
   are the states, the largest number of accesses of a call, and each (program
   point, outcome) that was come by.

   States are told apart by a digest of 16 bytes; equal digests of different
   states would hide one (likelihood below 10^-23 for 10^8 states). A fence and
   what a call does before its first and after its last access are taken
   together with the access beside it. *)

open Exchange

type state = { m : shared; actors : actor list; todo : op list list; x : ghost }

type world = {
  name : string;
  g : geometry;
  calls : (side * op list) list; (* producers first *)
}

exception Broken of string

let covered : (string, int) Hashtbl.t = Hashtbl.create 500

let step_of = function
  | Load (s, _, _) -> Names.step_name s
  | Store (s, _, _) -> Names.step_name s
  | Cas (s, _, _, _, true) -> Names.step_name s ^ "+"
  | Cas (s, _, _, _, false) -> Names.step_name s ^ "-"
  | Or (s, _, _, _) -> Names.step_name s
  | Fence s -> Names.step_name s

let place_of st i =
  let a = List.nth st.actors i in
  Printf.sprintf "%s %d" (match a.who_side with PUSH -> "producer" | POP -> "consumer") a.me

let replace l i y = List.mapi (fun j z -> if j = i then y else z) l

let fault what st i f =
  raise (Broken (Printf.sprintf "%s: %s of %s" (Names.fault_name f) what (place_of st i)))

(* An ended call is answered, and the next one begins. *)
let rec settle w producers longest_call st i =
  let a = List.nth st.actors i in
  match a.at_ with
  | DONE r ->
    if a.own > !longest_call then longest_call := a.own;
    (match answers producers a st.x r with
     | Inr f -> fault "answer" st i f
     | Inl x ->
       let st = { st with x; actors = replace st.actors i { a with at_ = IDLE; own = 0; job = { values = []; wanted = 0; pushed_n = 0; popped_vs = []; copies = false } } } in
       settle w producers longest_call st i)
  | IDLE -> (
    match List.nth st.todo i with
    | [] -> st
    | o :: rest ->
      let m, a = begin0 w.g st.m a o in
      settle w producers longest_call
        { st with m; actors = replace st.actors i a; todo = replace st.todo i rest } i)
  | _ -> st

let is_fence = function
  | OPEN_FENCE _ | STILL_FENCE _ | EMPTY_FENCE _ | ANN_EMPTY_FENCE _ -> true
  | _ -> false

let rec advance w producers longest_call st i =
  let a = List.nth st.actors i in
  match tstep w.g st.m a with
  | None -> None
  | Some (act, (m, b)) ->
    let key = Names.pc_name a.at_ ^ " " ^ step_of act ^ " -> " ^ Names.pc_name b.at_ in
    (match Hashtbl.find_opt covered key with
     | Some n -> Hashtbl.replace covered key (n + 1)
     | None -> Hashtbl.add covered key 1);
    (match follow w.g producers st.m a st.x act with
     | Inr f -> fault key st i f
     | Inl x ->
       let own = match act with Fence _ -> a.own | _ -> a.own + 1 in
       let st = { st with m; x; actors = replace st.actors i { b with own } } in
       if is_fence b.at_ then advance w producers longest_call st i
       else
         let st = settle w producers longest_call st i in
         (match broken w.g st.m st.actors st.x with
          | Some f -> fault ("after " ^ key) st i f
          | None -> Some st))

let start w =
  let numbers = Hashtbl.create 2 in
  let actors =
    List.map
      (fun (s, _) ->
        let p = try Hashtbl.find numbers s with Not_found -> 0 in
        Hashtbl.replace numbers s (p + 1);
        actor0 w.g s p)
      w.calls
  in
  { m = shared0 w.g; actors; todo = List.map snd w.calls; x = ghost0 w.g (List.length w.calls) }

let explore ~most ~progress w =
  let producers = List.length (List.filter (fun (s, _) -> s = PUSH) w.calls) in
  let longest_call = ref 0 in
  let seen = Hashtbl.create 1_000_000 in
  let todo = Stack.create () in
  let visit st trail =
    let key = Digest.string (Marshal.to_string st [ Marshal.No_sharing ]) in
    if not (Hashtbl.mem seen key) then begin
      Hashtbl.add seen key ();
      Stack.push (st, trail) todo
    end
  in
  let n = List.length w.calls in
  let st = ref (start w) in
  for i = 0 to n - 1 do st := settle w producers longest_call !st i done;
  visit !st [];
  let steps = ref 0 and ends = ref 0 in
  while not (Stack.is_empty todo) && Hashtbl.length seen < most do
    let st, trail = Stack.pop todo in
    let moved = ref false in
    for i = 0 to n - 1 do
      match advance w producers longest_call st i with
      | exception Broken what ->
        Printf.printf "FAULT in %s: %s\n" w.name what;
        List.iter print_endline (List.rev (Printf.sprintf "%d" i :: trail));
        exit 1
      | None -> ()
      | Some next ->
        moved := true;
        incr steps;
        if progress && !steps land 0xFFFFF = 0 then
          Printf.eprintf "\r%s: %d states, %d waiting %!" w.name (Hashtbl.length seen) (Stack.length todo);
        visit next (if Sys.getenv_opt "TRAIL" = None then trail
          else Printf.sprintf "%d %s" i (Names.pc_name (List.nth st.actors i).at_) :: trail)
    done;
    if not !moved then incr ends
  done;
  let all = Stack.is_empty todo in
  if progress then prerr_string "\r";
  Printf.printf "%-44s %10d states %11d steps %5d ends, longest call %3d accesses%s\n%!" w.name
    (Hashtbl.length seen) !steps !ends !longest_call
    (if all then "" else "  (not all)");
  (Hashtbl.length seen, !longest_call, all)

(* The worlds. *)

let world name ~capacity ~longest ~patience calls =
  let count s = List.length (List.filter (fun (t, _) -> t = s) calls) in
  let rec up n = if n >= max (count PUSH) (count POP) then n else up (2 * n) in
  let g = { capacity; slots_n = capacity + longest - 1; turns = up 1; longest; hints = 4; patience } in
  { name = Printf.sprintf "%s, capacity %d, patience %d" name capacity patience; g; calls }

let p v = Push v

let worlds =
  List.concat_map
    (fun patience ->
      [
        world "push | pop" ~capacity:1 ~longest:1 ~patience [ (PUSH, [ p 1; p 2 ]); (POP, [ Pop; Pop ]) ];
        world "push push | pop" ~capacity:1 ~longest:1 ~patience
          [ (PUSH, [ p 1 ]); (PUSH, [ p 11 ]); (POP, [ Pop; Pop ]) ];
        world "push | pop pop" ~capacity:1 ~longest:1 ~patience
          [ (PUSH, [ p 1; p 2 ]); (POP, [ Pop ]); (POP, [ Pop ]) ];
        world "push push | pop" ~capacity:2 ~longest:1 ~patience
          [ (PUSH, [ p 1; p 2 ]); (PUSH, [ p 11 ]); (POP, [ Pop; Pop ]) ];
        world "push | close" ~capacity:2 ~longest:1 ~patience
          [ (PUSH, [ p 1; p 2 ]); (PUSH, [ Close ]); (POP, [ Pop; Pop ]) ];
        world "run | pop" ~capacity:2 ~longest:2 ~patience
          [ (PUSH, [ PushRun [ 1; 2 ]; p 3 ]); (POP, [ Pop; Pop ]) ];
        world "run | pop pop" ~capacity:2 ~longest:2 ~patience
          [ (PUSH, [ PushRun [ 1; 2 ] ]); (POP, [ Pop ]); (POP, [ PopRun 2 ]) ];
        world "run | run pop" ~capacity:3 ~longest:3 ~patience
          [ (PUSH, [ PushRun [ 1; 2; 3 ] ]); (POP, [ PopRun 2 ]); (POP, [ Pop; Pop ]) ];
      ])
    [ 0; 1 ]

let () =
  let most = try int_of_string (Sys.getenv "MOST") with Not_found -> max_int in
  let total = ref 0 and longest = ref 0 in
  List.iter
    (fun w ->
      let n, l, _ = explore ~most ~progress:(Unix.isatty Unix.stderr) w in
      total := !total + n;
      longest := max !longest l)
    worlds;
  if Sys.getenv_opt "COVERED" <> None then
    List.iter print_endline (List.sort compare (Hashtbl.fold (fun k _ l -> k :: l) covered []));
  Printf.printf "%d states, longest call %d accesses, %d (program point, outcome) pairs\n" !total !longest
    (Hashtbl.length covered)
