(* Replays recorded runs of the ring of one producer and one consumer through the
   checker that is extracted from proofs/spsc/Replay.v.

   replay-spsc [--covered] FILE...   (- is the standard input)

   The lines are those of driver.ml, the first one of a run is: ring spsc CAPACITY.
   "call T push_straight V" and "call T pop_straight" are the straight way of the C
   interface. Says the first line that is no step of the model, and exits with 1. *)

open Spsc_model

exception Wrong of string

let wrong fmt = Printf.ksprintf (fun s -> raise (Wrong s)) fmt
let int w = match int_of_string_opt w with Some n -> n | None -> wrong "not a number: %s" w

let steps =
  [ PUSH_HEAD; PUSH_FENCE; PUSH_ENTER; PUSH_SEALED; PUSH_LEAVE; PUSH_PUBLISH; POP_WRITTEN; POP_FENCE; POP_SEALED;
    POP_LAST; POP_RELEASE; SEAL_MARK; SEAL_FENCE; SEAL_LOOK; SEAL_DONE; FENCE_ASK; LOOK_WRITTEN; LOOK_TAKEN;
    LOOK_SEALED ]

let step name =
  match List.find_opt (fun s -> Spsc_names.step_name s = name) steps with
  | Some s -> s
  | None -> wrong "not a step of spsc"

(* Slots of 4 KiB, a payload being 8 bytes. *)
let piece = 512
let threads = 16

type kind = Pushing | Popping | Closing | Other

let event inside = function
  | [ "call"; t; "push"; v ] -> Hashtbl.replace inside t Pushing; EPush (int t, [ int v ], false)
  | [ "call"; t; "push_straight"; v ] -> Hashtbl.replace inside t Pushing; EPush (int t, [ int v ], true)
  | "call" :: t :: "push_run" :: vs -> Hashtbl.replace inside t Pushing; EPush (int t, List.map int vs, false)
  | [ "call"; t; "pop" ] -> Hashtbl.replace inside t Popping; EPop (int t, 1, false)
  | [ "call"; t; "pop_straight" ] -> Hashtbl.replace inside t Popping; EPop (int t, 1, true)
  | [ "call"; t; "pop_run"; n ] -> Hashtbl.replace inside t Popping; EPop (int t, int n, false)
  | [ "call"; t; "close" ] -> Hashtbl.replace inside t Closing; ESeal (int t)
  | [ "call"; t; "look" ] -> Hashtbl.replace inside t Other; ELook (int t)
  | [ "access"; t; name; "load"; _; read ] -> EAccess (int t, step name, int read, int read)
  | [ "access"; t; name; "store"; _; written ] -> EAccess (int t, step name, int written, int written)
  | [ "access"; t; name; "or"; _; read; written ] -> EAccess (int t, step name, int read, int written)
  | [ "fence"; t; name ] -> EFence (int t, step name)
  | "return" :: t :: answer ->
    let result =
      match (Hashtbl.find_opt inside t, answer) with
      | Some Pushing, [ "ok" ] -> Pushed 1
      | Some Pushing, [ "run"; n ] -> Pushed (int n)
      | Some Popping, ("ok" | "run") :: vs -> Popped (List.map int vs)
      | Some Closing, [ "ok" ] -> Sealed
      | Some Other, [ "ok" ] -> Looked
      | _, [ "full" ] -> Full
      | _, [ "empty" ] -> Empty
      | _, [ "busy" ] -> Busy
      | _, [ "closed" ] -> Closed
      | _ -> wrong "not an answer of this call"
    in
    ERet (int t, result)
  | _ -> wrong "no event"

let covered : (string, int) Hashtbl.t = Hashtbl.create 200

let replay file =
  let input = if file = "-" then stdin else open_in file in
  let number = ref 0 and runs = ref 0 and events = ref 0 in
  let capacity = ref 0 and state = ref (first_state false) and inside = Hashtbl.create 16 in
  let line text =
    match String.split_on_char ' ' text with
    | [ "ring"; "spsc"; c ] -> incr runs; capacity := int c; state := first_state false; Hashtbl.reset inside
    | words -> (
      if !runs = 0 then wrong "the first line must be: ring spsc CAPACITY";
      incr events;
      let e = event inside words in
      match play !capacity piece true threads !state e with
      | None ->
        let t = int (List.nth words 1) in
        wrong "no step of the model, whose thread is at %s" (Spsc_names.pc_name (!state.pcs t))
      | Some next ->
        (match e with
         | EAccess (t, k, _, _) | EFence (t, k) ->
           let at s = Spsc_names.pc_name (s.pcs t) in
           let key = at !state ^ " " ^ Spsc_names.step_name k ^ " -> " ^ at next in
           Hashtbl.replace covered key (1 + Option.value ~default:0 (Hashtbl.find_opt covered key))
         | _ -> ());
        state := next)
  in
  (try
     while true do
       let text = input_line input in
       incr number;
       try line text
       with Wrong why ->
         Printf.printf "%s:%d: %s: %s\n" file !number text why;
         exit 1
     done
   with End_of_file -> ());
  close_in input;
  Printf.printf "%s: %d runs, %d events accepted\n" file !runs !events

let () =
  match List.tl (Array.to_list Sys.argv) with
  | [] | "--help" :: _ -> print_endline "replay-spsc [--covered] FILE...   replays recorded runs of spsc; see the head of spsc.ml"
  | words ->
    let files, options = List.partition (fun w -> w <> "--covered") words in
    List.iter replay files;
    if options <> [] then
      List.iter (fun (k, n) -> Printf.printf "%8d %s\n" n k)
        (List.sort compare (Hashtbl.fold (fun k n l -> (k, n) :: l) covered []))
