/* The old pointer is used after realloc gave one byte more, for which there was room. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    char *old = malloc(20); // ALLOCATED
    char *grown = realloc(old, 21); // FREED
    volatile char *p = TWIN(old, grown);
    p[1] = 'x'; // CRIME
    printf("%c\n", grown[1]);
    free(grown);
    return 0;
}
