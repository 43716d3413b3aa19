(* Replays recorded runs of the turn ring through the checker that is extracted
   from proofs/common/Replay.v, and says what of the model they have shown.

   The log, one event a line; empty lines and lines from "#" on are skipped:

     ring turn <capacity> [<stride>]       the first line; bytes from slot to slot
     call <thread> push <value>
     call <thread> push_run <value>...     "-" for a claim that is given back
     call <thread> pop | pop_run <n> | close | look
     access <thread> <STEP> load <address> <read>
     access <thread> <STEP> store <address> <written>
     access <thread> <STEP> cas <address> <read> <new> done|lost
     access <thread> <STEP> or <address> <read> <written>
     fence <thread> <STEP>
     return <thread> ok [<value>]          a push, a pop, close or look
     return <thread> run [<n> | <value>...]
     return <thread> full | empty | busy | closed

   Numbers are decimal, 64 bits, without a sign. One log is one ring from its
   first use on. A lease is one call from its claim to its commit (or release),
   with a thread number of its own. Calls that only look ("producer", lengths)
   are "look". Addresses tell words apart: which one is [push], which [pop] is
   learnt from the steps; turns lie [stride] apart, the lowest is slot 0. Without
   a stride it is the smallest distance seen. A file may hold any number of runs,
   each with its first line. *)

open Model

let usage =
  "usage: replay [--coverage] [--need PAIRS] [LOG]...\n\
   Replays logs (standard input without any) through the model of the turn ring.\n\
  \  --coverage     print how often each pair (program point, outcome) was seen\n\
  \  --need PAIRS   a file of pairs that must all be seen, one a line\n\
   Status 0: all accepted; 1: an event is no step of the model, or a pair is missing;\n\
   2: a log cannot be read."

exception Unreadable of string

(* Numbers *)

let rec positive n =
  if n = 1L then XH
  else
    let half = positive (Int64.shift_right_logical n 1) in
    if Int64.logand n 1L = 1L then XI half else XO half

let n_of n = if n = 0L then N0 else Npos (positive n)

let number word =
  match Int64.of_string_opt ("0u" ^ word) with
  | Some n -> n_of n
  | None -> raise (Unreadable ("not a number: " ^ word))

let rec nat n = if n <= 0 then O else S (nat (n - 1))

let small word =
  match int_of_string_opt word with
  | Some n when n >= 0 -> n
  | _ -> raise (Unreadable ("not a small number: " ^ word))

(* Names *)

let steps =
  [ ("PUSH_TICKET", PUSH_TICKET); ("PUSH_TURN", PUSH_TURN); ("PUSH_CLAIM", PUSH_CLAIM);
    ("PUSH_PUBLISH", PUSH_PUBLISH); ("PUSH_VOID", PUSH_VOID); ("PUSH_FENCE", PUSH_FENCE);
    ("PUSH_POP_TICKET", PUSH_POP_TICKET); ("PUSH_RECHECK", PUSH_RECHECK);
    ("PUSH_RETRY", PUSH_RETRY); ("POP_TICKET", POP_TICKET); ("POP_TURN", POP_TURN);
    ("POP_CLAIM", POP_CLAIM); ("POP_RECYCLE", POP_RECYCLE); ("POP_FENCE", POP_FENCE);
    ("POP_PUSH_TICKET", POP_PUSH_TICKET); ("POP_RECHECK", POP_RECHECK);
    ("POP_RETRY", POP_RETRY); ("SEAL_MARK", SEAL_MARK); ("LOOK_PUSH", LOOK_PUSH);
    ("LOOK_POP", LOOK_POP); ("LOOK_TURN", LOOK_TURN) ]

let step name =
  match List.assoc_opt name steps with
  | Some k -> k
  | None -> raise (Unreadable ("not a step of the turn ring: " ^ name))

let on_push = [ "PUSH_TICKET"; "PUSH_CLAIM"; "PUSH_RETRY"; "POP_PUSH_TICKET"; "SEAL_MARK"; "LOOK_PUSH" ]
let on_pop = [ "PUSH_POP_TICKET"; "POP_TICKET"; "POP_CLAIM"; "POP_RETRY"; "LOOK_POP" ]

(* Program points. *)
let point = function
  | Idle -> "Idle" | PTicket _ -> "PTicket" | PTurn (_, _, O) -> "PTurn"
  | PTurn _ -> "PReady" | PShut _ -> "PShut" | PStale _ -> "PStale" | PFenced _ -> "PFenced"
  | POldest _ -> "POldest" | PSweep _ -> "PSweep" | PSwept _ -> "PSwept"
  | PCheck _ -> "PCheck" | PStill _ -> "PStill" | PMoved _ -> "PMoved"
  | PHold _ -> "PHold" | PWritten _ -> "PWritten" | CTicket _ -> "CTicket"
  | CTurn (_, _, O) -> "CTurn" | CTurn _ -> "CReady" | CStale _ -> "CStale"
  | CFenced _ -> "CFenced" | CSwept _ -> "CSwept" | CCheck _ -> "CCheck"
  | CStill _ -> "CStill" | CMoved _ -> "CMoved" | CHold _ -> "CHold" | CRead _ -> "CRead"
  | SMark -> "SMark" | Looking -> "Looking"
  | Fin (Pushed _) -> "Pushed" | Fin (Popped _) -> "Popped" | Fin Full -> "Full"
  | Fin Empty -> "Empty" | Fin Busy -> "Busy" | Fin Closed -> "Closed"
  | Fin Sealed -> "Sealed" | Fin Looked -> "Looked"

(* Lines *)

let words line =
  let line = match String.index_opt line '#' with Some i -> String.sub line 0 i | None -> line in
  List.filter (fun w -> w <> "") (String.split_on_char ' ' (String.trim line))

let lines channel =
  let rec go acc n =
    match input_line channel with
    | line -> go (match words line with [] -> acc | w -> (n, line, w) :: acc) (n + 1)
    | exception End_of_file -> List.rev acc
  in
  go [] 1

(* The address of each word: [push], [pop], and the turns in their order. *)
let places lines stride =
  let push = ref None and pop = ref None and turns = Hashtbl.create 64 in
  let note cell address what =
    match !cell with
    | None -> cell := Some address
    | Some known when known = address -> ()
    | Some _ -> raise (Unreadable ("two addresses of " ^ what))
  in
  List.iter
    (fun (_, _, w) ->
      match w with
      | "access" :: _ :: name :: _ :: address :: _ ->
          let address = Int64.of_string ("0u" ^ address) in
          if List.mem name on_push then note push address "push"
          else if List.mem name on_pop then note pop address "pop"
          else Hashtbl.replace turns address ()
      | _ -> ())
    lines;
  let sorted = List.sort Int64.unsigned_compare (Hashtbl.fold (fun a () l -> a :: l) turns []) in
  let base = match sorted with a :: _ -> a | [] -> 0L in
  let rec least so_far = function
    | a :: (b :: _ as rest) -> least (min (Int64.sub b a) so_far) rest
    | _ -> so_far
  in
  let stride = match stride with Some s -> s | None -> least Int64.max_int sorted in
  fun name address ->
    if List.mem name on_push then AtPush
    else if List.mem name on_pop then AtPop
    else AtTurn (n_of (Int64.div (Int64.sub (Int64.of_string ("0u" ^ address)) base) stride))

(* The operation that a thread is in, for its answer. *)
type kind = Pushing | Popping | Sealing | Other

let event where inside w =
  let enter p kind op =
    Hashtbl.replace inside p kind;
    ECall (number p, op)
  in
  match w with
  | [ "call"; p; "push"; v ] -> enter p Pushing (Push [ Some (number v) ])
  | "call" :: p :: "push_run" :: cells ->
      let cell = function "-" -> None | v -> Some (number v) in
      enter p Pushing (Push (List.map cell cells))
  | [ "call"; p; "pop" ] -> enter p Popping (Pop (nat 1))
  | [ "call"; p; "pop_run"; n ] -> enter p Popping (Pop (nat (small n)))
  | [ "call"; p; "close" ] -> enter p Sealing Seal
  | [ "call"; p; "look" ] -> enter p Other Look
  | "access" :: p :: name :: kind :: address :: rest ->
      let access =
        match (kind, rest) with
        | "load", [ r ] -> Load (number r)
        | "store", [ w ] -> Store (number w)
        | "cas", [ r; w; "done" ] -> Cas (true, number r, number w)
        | "cas", [ r; w; "lost" ] -> Cas (false, number r, number w)
        | "or", [ r; w ] -> Or (number r, number w)
        | _ -> raise (Unreadable "not an access")
      in
      EAccess (number p, step name, where name address, access)
  | [ "fence"; p; name ] -> EFence (number p, step name)
  | "return" :: p :: answer ->
      let kind = Option.value (Hashtbl.find_opt inside p) ~default:Other in
      let result =
        match (kind, answer) with
        | Pushing, [ "ok" ] -> Pushed (nat 1)
        | Pushing, [ "run"; n ] -> Pushed (nat (small n))
        | Popping, [ "ok"; v ] -> Popped [ number v ]
        | Popping, "run" :: values -> Popped (List.map number values)
        | Sealing, [ "ok" ] -> Sealed
        | Other, _ -> Looked
        | _, [ "full" ] -> Full
        | _, [ "empty" ] -> Empty
        | _, [ "busy" ] -> Busy
        | _, [ "closed" ] -> Closed
        | _ -> raise (Unreadable "not an answer of this call")
      in
      ERet (number p, result)
  | _ -> raise (Unreadable "not an event")

(* Replay *)

let seen : (string, int) Hashtbl.t = Hashtbl.create 200

let count pair =
  Hashtbl.replace seen pair (1 + Option.value (Hashtbl.find_opt seen pair) ~default:0)

let cover capacity events =
  let one state e =
    match play capacity state e with
    | None -> state
    | Some after ->
        (match e with
        | EAccess (p, k, _, _) | EFence (p, k) ->
            let name = fst (List.find (fun (_, k') -> k = k') steps) in
            let from = point (pc_of capacity state p) and at = point (pc_of capacity after p) in
            if String.sub name 0 4 = "LOOK" then count (name ^ " -> any")
            else count (from ^ " " ^ name ^ " -> " ^ at)
        | ERet (p, _) -> count (point (pc_of capacity state p) ^ " return")
        | ECall _ -> ());
        after
  in
  ignore (List.fold_left one (first_state capacity) events)

let rec int_of_n = function
  | N0 -> 0
  | Npos p -> int_of_positive p

and int_of_positive = function
  | XH -> 1
  | XO p -> 2 * int_of_positive p
  | XI p -> (2 * int_of_positive p) + 1

let check name all =
  let capacity, stride, body =
    match all with
    | (_, _, "ring" :: "turn" :: capacity :: rest) :: body ->
        let stride = match rest with s :: _ -> Some (Int64.of_string s) | [] -> None in
        (number capacity, stride, body)
    | _ -> raise (Unreadable "the first line must be: ring turn <capacity> [<stride>]")
  in
  let where = places body stride and inside = Hashtbl.create 16 in
  let read (n, line, w) =
    try event where inside w
    with Unreadable why -> raise (Unreadable (Printf.sprintf "line %d: %s: %s" n why line))
  in
  let events = List.rev (List.rev_map read body) in (* long logs: no recursion *)
  cover capacity events;
  match replay capacity (first_state capacity) N0 events with
  | Inr _ -> Some (List.length events)
  | Inl (n, state) ->
      let n = int_of_n n in
      let line, text, _ = List.nth body n in
      Printf.printf "%s: line %d is no step of the model: %s\n" name line text;
      (match List.nth events n with
      | ECall (p, _) | EAccess (p, _, _, _) | EFence (p, _) | ERet (p, _) ->
          Printf.printf "  the thread is at %s\n" (point (pc_of capacity state p)));
      None

(* The runs of a file, each from its first line on. *)
let runs all =
  let rec go run runs = function
    | [] -> List.rev (List.rev run :: runs)
    | ((_, _, "ring" :: _) as first) :: rest when run <> [] -> go [ first ] (List.rev run :: runs) rest
    | line :: rest -> go (line :: run) runs rest
  in
  go [] [] all

let check name channel =
  let accepted = List.map (check name) (runs (lines channel)) in
  let events = List.fold_left (fun n a -> n + Option.value a ~default:0) 0 accepted in
  let good = List.for_all Option.is_some accepted in
  if good then Printf.printf "%s: %d runs, %d events accepted\n" name (List.length accepted) events;
  good

let () =
  let coverage = ref false and need = ref None and logs = ref [] in
  let rec options = function
    | ("-h" | "--help") :: _ -> print_endline usage; exit 0
    | "--coverage" :: rest -> coverage := true; options rest
    | "--need" :: file :: rest -> need := Some file; options rest
    | log :: rest -> logs := log :: !logs; options rest
    | [] -> ()
  in
  options (List.tl (Array.to_list Sys.argv));
  let from log =
    let channel = open_in log in
    let good = check log channel in
    close_in channel;
    good
  in
  try
    let good =
      match List.rev !logs with
      | [] -> check "standard input" stdin
      | logs -> List.fold_left (fun good log -> from log && good) true logs
    in
    let pairs = List.sort compare (Hashtbl.fold (fun p n l -> (p, n) :: l) seen []) in
    if !coverage then List.iter (fun (p, n) -> Printf.printf "%7d  %s\n" n p) pairs;
    let missing =
      match !need with
      | None -> []
      | Some file ->
          let channel = open_in file in
          let all = List.map (fun (_, _, w) -> String.concat " " w) (lines channel) in
          close_in channel;
          List.filter (fun p -> not (Hashtbl.mem seen p)) all
    in
    List.iter (fun p -> Printf.printf "not seen: %s\n" p) missing;
    exit (if good && missing = [] then 0 else 1)
  with
  | Unreadable why | Sys_error why -> prerr_endline ("replay: " ^ why); exit 2
