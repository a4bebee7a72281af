/* The slack of a block is written before the block grows. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    char *p = malloc(29); // ALLOCATED
    *(volatile char *)(p + TWIN(29, 28)) = 1; // CRIME
    p = realloc(p, 100); // FOUND
    puts("grown");
    free(p);
    return 0;
}
