"""Sign-in by OpenID Connect: authorization code with PKCE for browsers, bearer tokens for
programs."""
