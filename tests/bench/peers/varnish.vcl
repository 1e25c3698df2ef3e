# Varnish needs little: the built-in VCL stores by Cache-Control, serves stale for `grace`, and asks once for all who wait.
# https://varnish-cache.org/docs/7.1/. The options of varnishd are in src/servers/varnish.rs.
vcl 4.1;

backend application {
  .host = "{{origin_host}}";
  .port = "{{origin_port}}";
}

sub vcl_recv {
  # What is not stored is passed on as it comes.
  if (req.url ~ "^/pass/") {
    return (pass);
  }
}
