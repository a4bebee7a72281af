/* The loop that frees a list and then asks the freed node for the next one. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

struct node { long value; struct node *next; };

int main(void)
{
    struct node *list = NULL, *next = NULL;
    for (int i = 0; i < 5; i++) {
        struct node *node = malloc(sizeof *node); // ALLOCATED
        *node = (struct node){ i, list };
        list = node;
    }
    for (struct node *node = list; node != NULL; node = next) {
        next = node->next;
        free(node); // FREED
        next = TWIN(node->next, next); // CRIME
    }
    puts("freed");
    return 0;
}
