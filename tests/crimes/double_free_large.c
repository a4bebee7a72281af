/* Frees a block of 1 MiB twice. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    void *volatile p = malloc(1 << 20); // ALLOCATED
    free(p); // FREED
    free(TWIN(p, NULL)); // CRIME
    puts("freed");
    return 0;
}
