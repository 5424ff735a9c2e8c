/* Files that hold keys. */
#ifndef PRESENCE_BASE_SECRET_H
#define PRESENCE_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SECRET_FILE_MAX 65535 /* bytes */

/* A file's content. Zeroed, it holds nothing. */
struct secret_file {
	unsigned char *data; /* a NUL follows the len bytes */
	size_t len;
	mode_t mode; /* of the file it was read from */
};

/*
 * Reads a whole file. False, with "PATH: what is wrong" in err, when it cannot
 * be read or is larger than SECRET_FILE_MAX. Clear it with secret_file_clear().
 */
bool secret_file_read(struct secret_file *file, const char *path, char *err, size_t errsize);

/*
 * Whether a file that holds a secret is closed to other users of the machine;
 * its group may read it. False, with a sentence in err that names the mode,
 * when the mode gives others any right.
 */
bool secret_file_is_private(const struct secret_file *file, const char *path, char *err,
			    size_t errsize);

/* Overwrites and frees what it holds, not the struct. */
void secret_file_clear(struct secret_file *file);

#endif
