# Reads the extracted module: writes functions that say which constructor a value has.
# names.awk exchange.ml > names.ml
/^type (step|pc|fault) =/ { type = $2; printf "let %s_name (x : Exchange.%s) = match x with\n", type, type; open = 1; next }
open && /^\| / {
    line = $0
    name = $2
    fields = gsub(/ \* /, " * ", line)
    printf "  | Exchange.%s%s -> \"%s\"\n", name, (line ~ / of /) ? " _" : "", name
    next
}
open && !/^\| / && !/^  / { open = 0; print "" }
