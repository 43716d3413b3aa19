# Reads the extracted module: writes functions that say which constructor a value has.
# awk -v module=Exchange -v types='step pc fault' -f names.awk exchange.ml > names.ml
BEGIN { split(types, list, " "); for (i in list) wanted[list[i]] = 1 }
/^type [a-z]+ =/ && $2 in wanted { type = $2; printf "let %s_name (x : %s.%s) = match x with\n", type, module, type; open = 1; next }
open && /^\| / {
    line = $0
    name = $2
    fields = gsub(/ \* /, " * ", line)
    printf "  | %s.%s%s -> \"%s\"\n", module, name, (line ~ / of /) ? " _" : "", name
    next
}
open && !/^\| / && !/^  / { open = 0; print "" }
