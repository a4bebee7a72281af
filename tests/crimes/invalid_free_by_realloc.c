/* Makes a block larger by a pointer into it. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    char *volatile p = malloc(64); // ALLOCATED
    p = realloc(p + TWIN(16, 0), 128); // CRIME
    puts("grown");
    free(p);
    return 0;
}
