(* Replays recorded runs of the exchange ring against its model.

   replay FILE…: each access of a run must be the step that the model makes, with
   the same values; each answer the one that the plain queue behind it gives; the
   invariants must hold in each state. Says the first line that is none, and exits
   with 1; else prints what was come by.

   Lines:  wait_free capacity C slots N turns T longest L
           actor push|pop PLACE patience P          one for each thread, from 0
           c THREAD push V | push_run V… | pop | pop_run N | close
           a THREAD STEP load|store|cas|or ADDRESS READ WRITTEN DONE     (hexadecimal)
           f THREAD STEP                            a fence
           r THREAD pushed N | popped V… | full | empty | closed | sealed

   A word's address is bound to the model's word when it is first met, one to
   one; from then on it must stay the same. *)

open Exchange

exception Wrong of string

let wrong fmt = Printf.ksprintf (fun s -> raise (Wrong s)) fmt

let covered : (string, int) Hashtbl.t = Hashtbl.create 500

(* Bits that tell n things apart, as in words.rs. *)
let bits n =
  let rec go b = if 1 lsl b >= n then b else go (b + 1) in
  go 0

let field w shift n = Int64.to_int (Int64.logand (Int64.shift_right_logical w shift) (Int64.of_int ((1 lsl n) - 1)))

let decode_word g w =
  let cells = bits (g.slots_n + (2 * g.turns)) in
  let who = bits (g.turns + 1) in
  {
    cell = field w 0 cells;
    len = field w cells 3;
    popped = field w (cells + 3) 3;
    who = field w (cells + 6) who;
    seq0 = field w (cells + 6 + who) 2;
    sealed = field w (cells + 8 + who) 1 = 1;
    phase = Int64.to_int (Int64.shift_right_logical w (cells + 9 + who));
  }

let decode_state g w =
  let cells = bits (g.slots_n + (2 * g.turns)) in
  {
    got = field w 0 cells;
    stat = [| BLOCKED; PENDING; WHOLE; PART |].(field w cells 2);
    run = field w (cells + 2) 3;
    eseq = Int64.to_int (Int64.shift_right_logical w (cells + 5));
  }

let show_word w =
  Printf.sprintf "[phase %d%s%s popped %d of %d, cell %d]" w.phase
    (if w.sealed then " sealed" else "")
    (if w.who = 0 then "" else Printf.sprintf " claim of %d, sequence %d" (w.who - 1) w.seq0)
    w.popped (w.len + 1) w.cell
let show_state e =
  Printf.sprintf "[%d %s run %d cell %d]" e.eseq
    (match e.stat with BLOCKED -> "blocked" | PENDING -> "pending" | WHOLE -> "whole" | PART -> "part")
    e.run e.got
let show = function VWord w -> show_word w | VState e -> show_state e | VNum n -> string_of_int n

let same g value raw =
  match value with
  | VWord w -> w = decode_word g raw
  | VState e -> e = decode_state g raw
  | VNum n -> Int64.of_int n = raw

let shown g value raw =
  match value with
  | VWord _ -> show_word (decode_word g raw)
  | VState _ -> show_state (decode_state g raw)
  | VNum _ -> Printf.sprintf "%Ld" raw

let hex s = Int64.of_string ("0x" ^ s)

type run = {
  g : geometry;
  producers : int;
  mutable m : shared;
  mutable x : ghost;
  actors : actor array;
  patience : int array;
  at : (string, place) Hashtbl.t;
  of_place : (place, string) Hashtbl.t;
}

let bind r address place =
  match (Hashtbl.find_opt r.at address, Hashtbl.find_opt r.of_place place) with
  | None, None ->
    Hashtbl.add r.at address place;
    Hashtbl.add r.of_place place address
  | Some p, Some a when p = place && a = address -> ()
  | _ -> wrong "another word than the model's"

let outcome = function Cas (_, _, _, _, true) -> "+" | Cas (_, _, _, _, false) -> "-" | _ -> ""

(* The model's step of a thread, which must be of this name; [matches] compares. *)
let step r t name matches =
  let a = r.actors.(t) in
  let g = { r.g with patience = r.patience.(t) } in
  match tstep g r.m a with
  | None -> wrong "the model has nothing to do here"
  | Some (act, (m, b)) ->
    let wanted =
      match act with
      | Load (s, _, _) | Store (s, _, _) | Cas (s, _, _, _, _) | Or (s, _, _, _) | Fence s -> Names.step_name s
    in
    if wanted <> name then wrong "the model's step is %s, at %s" wanted (Names.pc_name a.at_);
    matches act;
    let key = Names.pc_name a.at_ ^ " " ^ wanted ^ outcome act ^ " -> " ^ Names.pc_name b.at_ in
    Hashtbl.replace covered key (1 + Option.value ~default:0 (Hashtbl.find_opt covered key));
    (match follow g r.producers r.m a r.x act with
     | Inr f -> wrong "%s: %s" (Names.fault_name f) key
     | Inl x -> r.x <- x);
    r.m <- m;
    r.actors.(t) <- b;
    match broken r.g r.m (Array.to_list r.actors) r.x with
    | Some f -> wrong "%s after %s" (Names.fault_name f) key
    | None -> ()

let access r kind address read written is_done act =
  let value what v raw =
    if not (same r.g v raw) then wrong "%s %s; the model has %s" what (shown r.g v raw) (show v)
  in
  let is k = if kind <> k then wrong "the model's access is %s" k in
  match act with
  | Load (_, l, v) -> is "load"; bind r address l; value "reads" v read
  | Store (_, l, v) -> is "store"; bind r address l; value "writes" v written
  | Or (_, l, was, now) -> is "or"; bind r address l; value "reads" was read; value "writes" now written
  | Cas (_, l, was, now, ok) ->
    is "cas"; bind r address l; value "finds" was read; value "gives" now written;
    if ok <> is_done then wrong "the exchange %s; the model's does not" (if is_done then "succeeds" else "fails")
  | Fence _ -> wrong "the model has a fence here"

let call r t words =
  let a = r.actors.(t) in
  let numbers = List.map int_of_string in
  if a.at_ <> IDLE then wrong "a call inside a call";
  let o =
    match words with
    | [ "push"; v ] -> Push (int_of_string v)
    | "push_run" :: vs -> PushRun (numbers vs)
    | [ "pop" ] -> Pop
    | [ "pop_run"; n ] -> PopRun (int_of_string n)
    | [ "close" ] -> Close
    | _ -> wrong "no call"
  in
  let m, a = begin0 { r.g with patience = r.patience.(t) } r.m a o in
  r.m <- m;
  r.actors.(t) <- a

let answer r t words =
  let a = r.actors.(t) in
  match a.at_ with
  | DONE x ->
    let said =
      match x with
      | Pushed n -> [ "pushed"; string_of_int n ]
      | Popped vs -> "popped" :: List.map string_of_int vs
      | Full -> [ "full" ] | Empty -> [ "empty" ] | Closed -> [ "closed" ] | Sealed -> [ "sealed" ]
    in
    if said <> words then wrong "the model answers %s" (String.concat " " said);
    (match answers r.producers a r.x x with
     | Inr f -> wrong "%s" (Names.fault_name f)
     | Inl x -> r.x <- x);
    r.actors.(t) <- { a with at_ = IDLE; own = 0 }
  | x -> wrong "an answer, while the model is at %s" (Names.pc_name x)

let int = int_of_string

let begins sides g =
  {
    g;
    producers = List.length (List.filter (fun (s, _, _) -> s = PUSH) sides);
    m = shared0 g;
    x = ghost0 g (List.length sides);
    actors = Array.of_list (List.map (fun (s, p, patience) -> actor0 { g with patience } s p) sides);
    patience = Array.of_list (List.map (fun (_, _, n) -> n) sides);
    at = Hashtbl.create 50;
    of_place = Hashtbl.create 50;
  }

let event r = function
  | "c" :: t :: call_ -> call r (int t) call_
  | "r" :: t :: answer_ -> answer r (int t) answer_
  | [ "f"; t; name ] ->
    step r (int t) name (function Fence _ -> () | _ -> wrong "the model has an access here")
  | [ "a"; t; name; kind; address; read; written; is_done ] ->
    step r (int t) name (access r kind address (hex read) (hex written) (is_done = "1"))
  | _ -> wrong "no event"

(* A file has any number of runs. *)
let replay file =
  let input = if file = "-" then stdin else open_in file in
  let number = ref 0 and runs = ref 0 and events = ref 0 in
  (* The head of a run, until its first event. *)
  let head = ref None and sides = ref [] and run = ref None in
  let line words =
    match words with
    | [ "wait_free"; "capacity"; c; "slots"; n; "turns"; t; "longest"; l ] ->
      incr runs;
      head := Some { capacity = int c; slots_n = int n; turns = int t; longest = int l; hints = 4; patience = 0 };
      sides := [];
      run := None
    | [ "actor"; s; p; "patience"; n ] -> sides := ((if s = "push" then PUSH else POP), int p, int n) :: !sides
    | _ ->
      (match (!run, !head) with
       | None, Some g -> run := Some (begins (List.rev !sides) g)
       | None, None -> wrong "this is no trace: it does not begin with its ring"
       | _ -> ());
      incr events;
      event (Option.get !run) words
  in
  (try
     while true do
       let text = input_line input in
       incr number;
       try line (String.split_on_char ' ' text)
       with Wrong why | Failure why ->
         Printf.printf "%s:%d: %s: %s\n" file !number text why;
         exit 1
     done
   with End_of_file -> ());
  close_in input;
  (!runs, !events)

let () =
  match List.tl (Array.to_list Sys.argv) with
  | [] | "--help" :: _ -> print_endline "replay [--covered] FILE…   replays recorded runs of wait_free (- is the standard input); see the head of replay.ml"
  | files ->
    let files, show_all = List.partition (fun f -> f <> "--covered") files in
    let add (runs, events) file =
      let r, e = replay file in
      (runs + r, events + e)
    in
    let runs, total = List.fold_left add (0, 0) files in
    if show_all <> [] then
      List.iter (fun (k, n) -> Printf.printf "%8d %s\n" n k)
        (List.sort compare (Hashtbl.fold (fun k n l -> (k, n) :: l) covered []));
    Printf.printf "%d runs, %d events accepted, %d (program point, outcome) pairs come by\n" runs total
      (Hashtbl.length covered)
