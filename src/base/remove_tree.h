/* A folder of this program's own, with all that is in it. */
#ifndef LATHE_BASE_REMOVE_TREE_H
#define LATHE_BASE_REMOVE_TREE_H

/* Removes what is in the folder, but for the file called `but` (NULL: all of it). Links are not followed; what cannot be removed stays. */
void remove_tree_inside(const char *folder, const char *but);
#endif
