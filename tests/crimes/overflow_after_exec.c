/* The program starts itself once more, and the second one does it. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int count, char **arguments)
{
    volatile char *p = malloc(128); // ALLOCATED
    if (count == 1) {
        execl(arguments[0], arguments[0], "again", (char *)NULL);
        return 1;
    }
    p[TWIN(128, 127)] = 1; // CRIME
    puts(arguments[1]);
    free((void *)p);
    return 0;
}
