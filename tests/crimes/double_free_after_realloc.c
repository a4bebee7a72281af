/* Frees the pointer from before realloc. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    void *volatile old = malloc(40); // ALLOCATED
    void *volatile grown = realloc(old, 400); // FREED
    free(TWIN(old, grown)); // CRIME
    puts("freed");
    return 0;
}
