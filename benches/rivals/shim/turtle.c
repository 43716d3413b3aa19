/* turtle's C interface as other programs meet it: the shared library, opened at run time. */

#include <dlfcn.h>
#include <stdio.h>

#include "turtle.h"

struct rivals_c_ring {
    turtle_buffer *ring;
    turtle_status (*try_push)(turtle_buffer *, const void *);
    turtle_status (*try_pop)(turtle_buffer *, void *);
    void (*free)(turtle_buffer *);
};

/* Whether `library` can be opened; says on stderr why not. */
int rivals_c_library(const char *library)
{
    void *lib = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (lib == NULL)
        fprintf(stderr, "%s\n", dlerror());
    return lib != NULL;
}

/* A private ring of `library`; 0 when done. The library stays open. */
int rivals_c_open(const char *library, unsigned strategy, size_t capacity, size_t elem_size, struct rivals_c_ring *out)
{
    void *lib = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (lib == NULL)
        return 1;
    turtle_status (*init)(turtle_options *) = (turtle_status(*)(turtle_options *))dlsym(lib, "turtle_options_init");
    turtle_status (*open)(const turtle_options *, turtle_buffer **) =
        (turtle_status(*)(const turtle_options *, turtle_buffer **))dlsym(lib, "turtle_open");
    out->try_push = (turtle_status(*)(turtle_buffer *, const void *))dlsym(lib, "turtle_try_push");
    out->try_pop = (turtle_status(*)(turtle_buffer *, void *))dlsym(lib, "turtle_try_pop");
    out->free = (void (*)(turtle_buffer *))dlsym(lib, "turtle_free");
    if (!init || !open || !out->try_push || !out->try_pop || !out->free)
        return 2;
    turtle_options options;
    if (init(&options) != TURTLE_OK)
        return 3;
    options.strategy = strategy;
    options.capacity = capacity;
    options.elem_size = elem_size;
    return open(&options, &out->ring) == TURTLE_OK ? 0 : 4;
}
