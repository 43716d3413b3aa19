/* The library says the version that the package says: header, library and package files belong together. */
#include <stdio.h>
#include <string.h>

#include <turtle.h>

int main(int argc, char **argv) {
    if (argc != 2) {
        return 2;
    }
    printf("library %s, package %s\n", turtle_version(), argv[1]);
    return strcmp(turtle_version(), argv[1]) == 0 ? 0 : 1;
}
