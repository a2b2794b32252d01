"""A gate in front of Docker: Airflow may run the generator in a container, and nothing else.

Whoever can create arbitrary containers is root on the host. Therefore no request is forwarded as it is: it is parsed, compared
with what is allowed, and written from scratch. For a new container, the client controls only arguments and environment variables
with certain names. It can only access containers that this gate created. A container is stopped when its client disconnects.
"""
