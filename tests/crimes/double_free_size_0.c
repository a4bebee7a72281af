/* Frees a block of size 0 twice. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    void *volatile p = malloc(0); // ALLOCATED
    free(p); // FREED
    free(TWIN(p, NULL)); // CRIME
    puts("freed");
    return 0;
}
