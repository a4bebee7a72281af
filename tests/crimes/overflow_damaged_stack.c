/* The crime in a function whose saved frame pointer leads into memory that does not exist. */
#include "twin.h"
#include <stdlib.h>

static void fill(volatile char *p)
{
    void **frame = __builtin_frame_address(0);
    void *saved = *frame;
    *frame = (char *)frame + (12 << 20);
    p[TWIN(16, 15)] = 1; // CRIME
    *frame = saved;
}

int main(void)
{
    char *p = malloc(16); // ALLOCATED
    fill(p);
    free(p);
    return 0;
}
