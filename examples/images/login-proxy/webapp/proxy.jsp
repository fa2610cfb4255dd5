<%-- Nobody reaches the application without a login. What is asked with one is passed on, with the user's name. --%><%@ page
session="false" trimDirectiveWhitespaces="true"
import="java.net.URI, java.net.http.*, java.nio.charset.StandardCharsets, java.time.Duration, java.util.*" %><%!
    static final HttpClient CLIENT = HttpClient.newBuilder()
        .version(HttpClient.Version.HTTP_1_1).followRedirects(HttpClient.Redirect.NEVER)
        .connectTimeout(Duration.ofSeconds(2)).build();
    /** Headers of one connection, and those that the client sets by itself. */
    static final Set<String> OWN = Set.of("connection", "content-length", "expect", "host", "keep-alive", "te",
        "transfer-encoding", "upgrade", "x-user");

    /** The user, if the login is right. */
    String user(jakarta.servlet.http.HttpServletRequest request) {
        String given = request.getHeader("Authorization");
        if (given == null || !given.startsWith("Basic ")) return null;
        String wanted = System.getenv("LOGIN_USER") + ":" + System.getenv("LOGIN_PASSWORD");
        byte[] login;
        try {
            login = Base64.getDecoder().decode(given.substring(6).trim());
        } catch (IllegalArgumentException not_base64) {
            return null;
        }
        boolean same = java.security.MessageDigest.isEqual(login, wanted.getBytes(StandardCharsets.UTF_8));
        return same ? System.getenv("LOGIN_USER") : null;
    }
%><%
    boolean probe = request.getRequestURI().equals("/health.jsp");
    String user = user(request);
    if (user == null && !probe) {
        response.setHeader("WWW-Authenticate", "Basic realm=\"books\"");
        response.setStatus(401);
        return;
    }
    String query = request.getQueryString();
    HttpRequest.Builder asked = HttpRequest.newBuilder()
        .uri(URI.create("http://app:8080" + request.getRequestURI() + (query == null ? "" : "?" + query)))
        .timeout(Duration.ofSeconds(60))
        .method(request.getMethod(), HttpRequest.BodyPublishers.ofByteArray(request.getInputStream().readAllBytes()));
    for (String name : Collections.list(request.getHeaderNames())) {
        if (OWN.contains(name.toLowerCase(Locale.ROOT))) continue;
        for (String value : Collections.list(request.getHeaders(name))) asked.header(name, value);
    }
    if (user != null) asked.header("X-User", user);
    HttpResponse<byte[]> answer;
    try {
        answer = CLIENT.send(asked.build(), HttpResponse.BodyHandlers.ofByteArray());
    } catch (java.io.IOException unreachable) {
        response.setStatus(502);
        return;
    }
    response.setStatus(answer.statusCode());
    answer.headers().map().forEach((name, values) -> {
        if (!OWN.contains(name.toLowerCase(Locale.ROOT))) values.forEach(value -> response.addHeader(name, value));
    });
    response.getOutputStream().write(answer.body());
%>
