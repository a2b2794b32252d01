"""Before Docker: Airflow may run the generator in a container, and do nothing else.

Who may create any container is root on the machine. Therefore nothing of a request goes on as it came: it is parsed, held against
what is allowed, and written again. Of a new container only the arguments and the environment are the client's, and these by name;
of other containers only those that this gate created are within reach. A container lives as long as who is attached to it.
"""
