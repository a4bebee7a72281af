/* strlen of a text that was never terminated. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    char *p = malloc(32); // ALLOCATED
    memset(p, 'a', 32);
    p[31] = TWIN('a', 0);
    printf("%zu\n", strlen(p)); // CRIME
    free(p);
    return 0;
}
