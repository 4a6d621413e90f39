"""The images as a Docker engine builds them: the same folders and Dockerfiles that the embedded cluster reads.

    order    which image is made from which          context  what the engine is sent, the same every time
    engine   the Docker engine: build, tag, save     builds   all images of a catalogue, built and saved
    bake     the same builds as a file for docker buildx

Knows nothing of clusters.
"""
