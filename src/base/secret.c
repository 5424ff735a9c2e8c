#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

bool secret_file_read(struct secret_file *file, const char *path, char *err, size_t errsize)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat info;
	const char *wrong = NULL;
	ssize_t got;

	memset(file, 0, sizeof *file);
	if (fd < 0) {
		snprintf(err, errsize, "%s: %s", path, strerror(errno));
		return false;
	}
	file->data = xcalloc(1, SECRET_FILE_MAX + 2);
	while ((got = read(fd, file->data + file->len, SECRET_FILE_MAX + 1 - file->len)) > 0)
		file->len += (size_t)got;
	if (got < 0 || fstat(fd, &info) != 0)
		wrong = strerror(errno);
	else if (file->len > SECRET_FILE_MAX)
		wrong = "too large for a key file";
	else
		file->mode = info.st_mode & 07777;
	close(fd);
	if (wrong == NULL)
		return true;
	snprintf(err, errsize, "%s: %s", path, wrong);
	secret_file_clear(file);
	return false;
}

bool secret_file_is_private(const struct secret_file *file, const char *path, char *err,
			    size_t errsize)
{
	if ((file->mode & S_IRWXO) == 0)
		return true;
	snprintf(err, errsize,
		 "%s: mode %04o opens this secret to every user of the machine: chmod 0640, and "
		 "its group that of the programs",
		 path, (unsigned)file->mode);
	return false;
}

void secret_file_clear(struct secret_file *file)
{
	if (file->data != NULL)
		explicit_bzero(file->data, file->len);
	free(file->data);
	memset(file, 0, sizeof *file);
}
