/* strcat of two texts that each would have had room. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    const char *volatile tail = TWIN("seventeen letters", "letters");
    char *p = malloc(32); // ALLOCATED
    strcpy(p, "and then some more ");
    strcat(p, tail); // CRIME
    puts(p);
    free(p);
    return 0;
}
