/* Frees a block of 1 MiB by a pointer to its middle, which is the start of a page. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    char *volatile p = malloc(1 << 20); // ALLOCATED
    free(p + TWIN(524288, 0)); // CRIME
    puts("freed");
    return 0;
}
