# The image: two names of one static program, and nothing else. No base image is pulled.
#
#   make image                       builds the program for this machine, and the image kube-isr:dev from it
#
# For a release, each architecture is built by its own compiler, and buildx puts them together:
#
#   make image-files ARCH=amd64
#   make image-files ARCH=arm64      needs a C compiler for it: apt-get install gcc-aarch64-linux-gnu
#   docker buildx build --platform linux/amd64,linux/arm64 --tag REGISTRY/kube-isr:0.1.0 --push .
#
# The program is linked with musl, because glibc's resolver, linked statically, loads shared libraries for DNS that are
# not here. It reads certificates of the API server and of TLS from files that the cluster mounts, so there is no bundle
# of authorities either.
FROM scratch
ARG TARGETARCH
COPY target/image/${TARGETARCH}/kube-isr/ /usr/local/bin/
# By number, so that a kubelet can see that it is not root.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/kube-isr"]
