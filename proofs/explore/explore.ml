(* All runs of a few participants of the exchange ring with a few calls each.

   explore [--long] [--own] [--covered] [WORLD…]
     --long     also the large worlds (10 million states, some minutes)
     --own      tells states apart by the accesses of the calls under way, too: then the longest call is exact
     --covered  lists each (program point, outcome) that was come by with the hints of the shipped code
     WORLD      only worlds with this in their names

   Every state is checked for the invariants (wait_free/Invariant.v), every step
   for what it does to a plain bounded queue, every answer against it; no run may
   come back to a state, so every call ends whatever the others do. Printed are the states, the largest number of accesses of a call, and each (program
   point, outcome) that was come by.

   States are told apart by a digest of 16 bytes; equal digests of different
   states would hide one (likelihood below 10^-23 for 10^8 states). A fence and
   what a call does before its first and after its last access are taken
   together with the access beside it. *)

open Exchange

type state = { m : shared; actors : actor list; todo : op list list; x : ghost }

(* Producers first; each has its patience. *)
type world = { name : string; g : geometry; calls : (side * int * op list) list; long : bool }

exception Broken of string

(* Bits of a group of hints in small rings: Pacing::of. *)
let shipped_hints = 4

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

let of_actor w i =
  let _, patience, _ = List.nth w.calls i in
  { w.g with patience }

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
      let m, a = begin0 (of_actor w i) st.m a o in
      settle w producers longest_call
        { st with m; actors = replace st.actors i a; todo = replace st.todo i rest } i)
  | _ -> st

let is_fence = function
  | OPEN_FENCE _ | STILL_FENCE _ | EMPTY_FENCE _ | ANN_EMPTY_FENCE _ -> true
  | _ -> false

let rec advance w producers longest_call st i =
  let a = List.nth st.actors i in
  match tstep (of_actor w i) st.m a with
  | None -> None
  | Some (act, (m, b)) ->
    let key = Names.pc_name a.at_ ^ " " ^ step_of act ^ " -> " ^ Names.pc_name b.at_ in
    (* With other hints than the shipped ones other pairs can be come by. *)
    if w.g.hints = shipped_hints then
      Hashtbl.replace covered key (1 + Option.value ~default:0 (Hashtbl.find_opt covered key));
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
      (fun (s, patience, _) ->
        let p = try Hashtbl.find numbers s with Not_found -> 0 in
        Hashtbl.replace numbers s (p + 1);
        actor0 { w.g with patience } s p)
      w.calls
  in
  let todo = List.map (fun (_, _, ops) -> ops) w.calls in
  { m = shared0 w.g; actors; todo; x = ghost0 w.g (List.length w.calls) }

let explore ~with_own ~progress w =
  let producers = List.length (List.filter (fun (s, _, _) -> s = PUSH) w.calls) in
  let longest_call = ref 0 in
  (* Depth first; true while a state's runs are under way. A step to such a state is a circle: some call
     could go on for ever. *)
  let seen : (string, bool) Hashtbl.t = Hashtbl.create 1_000_000 in
  let todo = Stack.create () in
  let n = List.length w.calls in
  let key st =
    let st = if with_own then st else { st with actors = List.map (fun a -> { a with own = 0 }) st.actors } in
    Digest.string (Marshal.to_string st [ Marshal.No_sharing ])
  in
  let broken_at what st i trail =
    Printf.printf "FAULT in %s: %s\n" w.name what;
    List.iter
      (fun (i, at) -> Printf.printf "  %s: %s\n" (place_of st i) at)
      (List.rev ((i, Names.pc_name (List.nth st.actors i).at_) :: trail));
    exit 1
  in
  let steps = ref 0 and ends = ref 0 in
  let enter st k trail =
    Hashtbl.add seen k true;
    Stack.push (`Leave k) todo;
    let moved = ref false in
    for i = 0 to n - 1 do
      match advance w producers longest_call st i with
      | exception Broken what -> broken_at what st i trail
      | None -> ()
      | Some next -> (
        moved := true;
        incr steps;
        if progress && !steps land 0xFFFFF = 0 then
          Printf.eprintf "\r%s: %d states, %d waiting %!" w.name (Hashtbl.length seen) (Stack.length todo);
        let trail = (i, Names.pc_name (List.nth st.actors i).at_) :: trail in
        let k = key next in
        match Hashtbl.find_opt seen k with
        | Some true -> broken_at "a call could go on for ever" st i trail
        | Some false -> ()
        | None -> Stack.push (`Enter (next, k, trail)) todo)
    done;
    if not !moved then incr ends
  in
  let st = ref (start w) in
  for i = 0 to n - 1 do st := settle w producers longest_call !st i done;
  Stack.push (`Enter (!st, key !st, [])) todo;
  while not (Stack.is_empty todo) do
    match Stack.pop todo with
    | `Leave k -> Hashtbl.replace seen k false
    | `Enter (st, k, trail) -> (
      match Hashtbl.find_opt seen k with
      | Some true -> broken_at "a call could go on for ever" st 0 trail
      | Some false -> ()
      | None -> enter st k trail)
  done;
  if progress then prerr_string "\r";
  Printf.printf "%-58s %9d states %10d steps %4d ends, longest call %3d accesses\n%!" w.name
    (Hashtbl.length seen) !steps !ends !longest_call;
  (Hashtbl.length seen, !longest_call)

(* The worlds. *)

let world ?(long = false) ?(hints = shipped_hints) ~capacity ~longest name calls =
  let count s = List.length (List.filter (fun (t, _, _) -> t = s) calls) in
  let rec up n = if n >= max (count PUSH) (count POP) then n else up (2 * n) in
  let g = { capacity; slots_n = capacity + longest - 1; turns = up 1; longest; hints; patience = 0 } in
  let patience = String.concat " " (List.map (fun (_, n, _) -> string_of_int n) calls) in
  { name = Printf.sprintf "%s, capacity %d, patience %s" name capacity patience; g; calls; long }

let p v = Push v

let worlds =
  List.concat_map
    (fun n ->
      let push ops = (PUSH, n, ops) and pop ops = (POP, n, ops) in
      [
        world "push | pop" ~capacity:1 ~longest:1 [ push [ p 1; p 2 ]; pop [ Pop; Pop ] ];
        world "push push | pop" ~capacity:1 ~longest:1 [ push [ p 1 ]; push [ p 11 ]; pop [ Pop; Pop ] ];
        world "push | pop pop" ~capacity:1 ~longest:1 [ push [ p 1; p 2 ]; pop [ Pop ]; pop [ Pop ] ];
        world "push push | pop" ~capacity:2 ~longest:1 [ push [ p 1; p 2 ]; push [ p 11 ]; pop [ Pop; Pop ] ];
        world "push close | pop" ~capacity:2 ~longest:1 [ push [ p 1; p 2 ]; push [ Close ]; pop [ Pop; Pop ] ];
        world "run | pop" ~capacity:2 ~longest:2 [ push [ PushRun [ 1; 2 ]; p 3 ]; pop [ Pop; Pop ] ];
        world "run | pop pop" ~capacity:2 ~longest:2 [ push [ PushRun [ 1; 2 ] ]; pop [ Pop ]; pop [ PopRun 2 ] ];
        world "run | run pop" ~capacity:3 ~longest:3 [ push [ PushRun [ 1; 2; 3 ] ]; pop [ PopRun 2 ]; pop [ Pop; Pop ] ];
      ])
    [ 0; 1 ]
  @ [
      world "push | pop pop" ~capacity:1 ~longest:1 [ (PUSH, 1, [ p 1; p 2 ]); (POP, 0, [ Pop ]); (POP, 1, [ Pop; Pop ]) ];
      world "push push | pop" ~capacity:1 ~longest:1 [ (PUSH, 0, [ p 1 ]); (PUSH, 1, [ p 11; p 12 ]); (POP, 1, [ Pop; Pop ]) ];
      (* Hints are told of at every position, or every second. *)
      world "push | pop pop, hints of all" ~hints:0 ~capacity:1 ~longest:1
        [ (PUSH, 1, [ p 1; p 2 ]); (POP, 0, [ Pop ]); (POP, 1, [ Pop; Pop ]) ];
      world "run | pop pop, hints of two" ~hints:1 ~capacity:2 ~longest:2
        [ (PUSH, 1, [ PushRun [ 1; 2 ]; p 3 ]); (POP, 0, [ Pop ]); (POP, 1, [ PopRun 2 ]) ];
      world "push close | pop, hints of all" ~hints:0 ~capacity:2 ~longest:1
        [ (PUSH, 1, [ p 1; p 2 ]); (PUSH, 1, [ Close ]); (POP, 1, [ Pop; Pop ]) ];
      world ~long:true "push push | pop" ~capacity:1 ~longest:1
        [ (PUSH, 0, [ p 1; p 2 ]); (PUSH, 0, [ p 11; p 12 ]); (POP, 0, [ Pop; Pop ]) ];
      world ~long:true "push | pop pop" ~capacity:1 ~longest:1
        [ (PUSH, 0, [ p 1; p 2 ]); (POP, 0, [ Pop; Pop ]); (POP, 0, [ Pop; Pop ]) ];
      world ~long:true "push push | pop pop" ~capacity:1 ~longest:1
        [ (PUSH, 0, [ p 1 ]); (PUSH, 1, [ p 11 ]); (POP, 0, [ Pop ]); (POP, 1, [ Pop ]) ];
      world ~long:true "run | run pop" ~capacity:3 ~longest:3
        [ (PUSH, 1, [ PushRun [ 1; 2; 3 ]; p 4 ]); (POP, 0, [ PopRun 2; Pop ]); (POP, 1, [ Pop; PopRun 2 ]) ];
      world ~long:true "run push | pop" ~capacity:2 ~longest:2
        [ (PUSH, 0, [ PushRun [ 1; 2 ]; p 3 ]); (PUSH, 1, [ PushRun [ 11; 12 ] ]); (POP, 0, [ PopRun 2; Pop ]) ];
      world ~long:true "push close | pop pop" ~capacity:2 ~longest:1
        [ (PUSH, 0, [ p 1; p 2 ]); (PUSH, 1, [ Close ]); (POP, 0, [ Pop; Pop ]); (POP, 1, [ Pop ]) ];
    ]

let () =
  let words = List.tl (Array.to_list Sys.argv) in
  let options, names = List.partition (fun w -> String.length w > 1 && String.sub w 0 2 = "--") words in
  let known = [ "--long"; "--own"; "--covered"; "--help" ] in
  (match List.find_opt (fun o -> not (List.mem o known)) options with
   | Some o -> Printf.eprintf "explore: no option %s; --help\n" o; exit 2
   | None -> ());
  let has o = List.mem o options in
  if has "--help" then begin
    print_endline "explore [--long] [--own] [--covered] [WORLD…]   all runs of small worlds; see the head of explore.ml";
    exit 0
  end;
  let contains text part =
    let n = String.length part in
    let rec at i = i + n <= String.length text && (String.sub text i n = part || at (i + 1)) in
    at 0
  in
  let asked w = (has "--long" || not w.long) && (names = [] || List.exists (contains w.name) names) in
  let total = ref 0 and longest = ref 0 in
  List.iter
    (fun w ->
      let n, l = explore ~with_own:(has "--own") ~progress:(Unix.isatty Unix.stderr) w in
      total := !total + n;
      longest := max !longest l)
    (List.filter asked worlds);
  if !total = 0 then (prerr_endline "explore: no such world"; exit 2);
  if has "--covered" then
    List.iter print_endline (List.sort compare (Hashtbl.fold (fun k _ l -> k :: l) covered []));
  Printf.printf "%d states, longest call %d accesses, %d (program point, outcome) pairs, nothing broken\n" !total !longest
    (Hashtbl.length covered)
