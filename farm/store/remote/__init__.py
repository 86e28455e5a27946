"""Where machines share wheels, logs and bundles: a directory, an S3 service, a web server. One module a kind."""
