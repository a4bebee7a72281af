/* Frees a block by a pointer to its eighth byte. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    char *volatile p = malloc(32); // ALLOCATED
    free(p + TWIN(8, 0)); // CRIME
    puts("freed");
    return 0;
}
