/* strcpy without room for the terminating zero. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    const char *volatile text = TWIN("sixteen letters!", "fifteen letters");
    char *p = malloc(16); // ALLOCATED
    strcpy(p, text); // CRIME
    printf("%.7s\n", p + 8);
    free(p);
    return 0;
}
