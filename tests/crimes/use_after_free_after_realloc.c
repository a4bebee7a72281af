/* The old pointer is used after realloc made the block larger. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    char *old = malloc(16); // ALLOCATED
    old[0] = 'g';
    char *grown = realloc(old, 4000); // FREED
    volatile char *p = TWIN(old, grown);
    putchar(p[0]); // CRIME
    free(grown);
    return 0;
}
