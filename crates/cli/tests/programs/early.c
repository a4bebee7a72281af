/* A library whose constructor allocates before that of the malloc that it is preloaded with. */
#include "check.h"

static unsigned char *blocks[300];

__attribute__((constructor)) static void early(void)
{
    for (unsigned at = 0; at < 300; at++) {
        CHECK(blocks[at] = malloc(at * 33));
        fill(blocks[at], at * 33, at);
    }
}

__attribute__((destructor)) static void last(void)
{
    for (unsigned at = 0; at < 300; at++) {
        CHECK(is_filled(blocks[at], at * 33, at));
        free(blocks[at]);
    }
}
