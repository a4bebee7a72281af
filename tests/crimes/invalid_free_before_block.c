/* Frees the address where another allocator would keep the header of the block. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    char *volatile p = malloc(48); // ALLOCATED
    free(p - TWIN(16, 0)); // CRIME
    puts("freed");
    return 0;
}
