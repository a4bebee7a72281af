/* Writes behind a block of posix_memalign. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    void *p = NULL;
    if (posix_memalign(&p, 256, 512) != 0) // ALLOCATED
        return 1;
    ((volatile char *)p)[TWIN(512, 511)] = 1; // CRIME
    printf("%zu\n", (size_t)p % 256);
    free(p);
    return 0;
}
