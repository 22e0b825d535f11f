# docker build -t nod . && docker run -p 8080:8080 -v nod:/data nod

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /image/nod ./cmd/nod
# The folders of the image, to be owned by its user: an empty volume takes over
# the owner and mode of the folder it is mounted on.
RUN mkdir -m 0700 /image/data /image/tmp

FROM scratch
COPY --from=build --chown=65532:65532 /image/ /
USER 65532:65532
ENV NOD_LISTEN=:8080 NOD_DATA=/data
EXPOSE 8080
VOLUME /data
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["/nod", "healthcheck"]
ENTRYPOINT ["/nod"]
CMD ["serve"]
